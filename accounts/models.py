"""Stored API tokens."""

from typing import ClassVar

from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Now


class ApiToken(models.Model):
    """An API token. Only its digest is stored: a dump gives no access."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="What it is for.")
    digest = models.CharField(max_length=64, editable=False)  # SHA-256 of a random token needs no salt
    hint = models.CharField(max_length=20, editable=False, help_text="Its first and last characters.")
    # Digest of the password hash: a changed password ends the token.
    password_mark = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not expire.")
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the hour.")
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "API token"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["digest"], name="accounts_apitoken_digest"),
        ]

    def __str__(self) -> str:
        return self.name or self.hint
