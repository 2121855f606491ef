"""Operators' own records about orders. They stay when an order is archived."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now

LONGEST_NOTE, LONGEST_TAG, MOST_TAGS = 2000, 30, 10


class Note(models.Model):
    """What an operator wrote about an order; never changed."""

    # No constraint: archiving moves the order, and the note stays.
    order_id = models.BigIntegerField()
    # The name stays readable when the account is deleted.
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    author_name = models.CharField(max_length=150)
    text = models.TextField(max_length=LONGEST_NOTE)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["order_id", "id"], name="desk_notes_by_order")]

    def __str__(self) -> str:
        return f"Note on order {self.order_id}"


class Handling(models.Model):
    """Who takes care of an order, and its tags."""

    order_id = models.BigIntegerField(primary_key=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    tags = ArrayField(models.CharField(max_length=LONGEST_TAG), db_default=[], default=list)

    class Meta:
        verbose_name_plural = "handling of orders"
        indexes = [GinIndex(fields=["tags"], name="desk_handling_tags")]

    def __str__(self) -> str:
        return f"Handling of order {self.order_id}"


class SavedFilter(models.Model):
    """A filter of the order list that a user kept by name."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, help_text="The query string of the list.")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="desk_saved_filter_once")]

    def __str__(self) -> str:
        return self.name
