"""The payment ledger: provider calls and their outcomes."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Transaction(models.Model):
    """One provider call of an order.

    The row holds the whole call and is written before it; retries use the same row and key. So an order has
    at most one transaction per kind, however often a step runs.
    """

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", "Authorize"  # holds the amount on the card
        CAPTURE = "capture", "Capture"  # collects it
        VOID = "void", "Void"  # releases it
        REFUND = "refund", "Refund"  # returns what was collected

    class State(models.TextChoices):
        UNKNOWN = "unknown", "Unknown"  # sent or about to be, or not decided; look it up
        SUCCEEDED = "succeeded", "Succeeded"
        DECLINED = "declined", "Declined"  # nothing moved

    pk = models.CompositePrimaryKey("order_id", "kind")
    order_id = models.BigIntegerField()
    kind = models.CharField(max_length=9, choices=Kind.choices)
    # Captures, voids, refunds and look-ups go through the gateway that has the money.
    gateway = models.CharField(max_length=40, db_default="http")
    # The order in the provider's ledger.
    reference = models.UUIDField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    token = models.CharField(
        max_length=255, blank=True, help_text="The provider's token for the card; never a number."
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.UNKNOWN)
    provider_id = models.CharField(max_length=64, blank=True)
    code = models.CharField(max_length=40, blank=True, help_text="Why it was declined, or is unknown.")
    message = models.CharField(max_length=200, blank=True)
    # The provider's id of the authorization or capture that it builds on.
    provider_parent = models.CharField(max_length=64, blank=True, db_default="")
    # What the customer has to do, while it is not decided (`payments.gateways.protocol.Action`).
    action = models.JSONField(null=True)
    started_at = models.DateTimeField()
    # Start of the latest attempt, from which a call may be in flight.
    asked_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        # Keep state updates heap-only (HOT): no index but the key. Journeys find unknown transactions.
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="payments_amount_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.amount} {self.currency} for order {self.order_id}: {self.state}"

    @property
    def key(self) -> str:
        """The idempotency key of all attempts."""
        return idempotency_key(reference=str(self.reference), kind=self.kind)


def idempotency_key(*, reference: str, kind: str) -> str:
    """Return the idempotency key of an order's transaction."""
    return f"{reference}:{kind}"


class WebhookEvent(models.Model):
    """A processed webhook event, for deduplication."""

    id = models.CharField(primary_key=True, max_length=100)  # assigned by the provider
    key = models.CharField(max_length=100, help_text="The idempotency key of the call that it is about.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="payments_webhook_received")]

    def __str__(self) -> str:
        return self.id
