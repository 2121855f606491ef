"""Stored answers of idempotent requests."""

from django.db import models
from django.db.models.functions import Now

from api.managers import IdempotencyKeyManager


class KeyReused(Exception):
    """The Idempotency-Key belongs to another request."""


class IdempotencyKey(models.Model):
    pk = models.CompositePrimaryKey("owner_id", "key")
    owner_id = models.BigIntegerField()
    key = models.CharField(max_length=200)
    request_hash = models.BinaryField(max_length=32)
    status_code = models.SmallIntegerField()
    answer = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    objects = IdempotencyKeyManager()

    class Meta:
        db_table = "orders_idempotencykey"  # predates this app
        indexes = [models.Index(fields=["created_at"], name="orders_idempotency_created")]

    def __str__(self) -> str:
        return self.key
