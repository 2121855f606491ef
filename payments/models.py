"""The payment ledger: calls to the payment provider and their outcomes."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Transaction(models.Model):
    """A payment provider call for one order; together an order's transactions are its payment.

    The row holds the whole call and is written before it; a retry uses the same row and idempotency key. So
    an order has at most one transaction per kind, however often a step runs.
    """

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", "Authorize"  # hold the amount on the customer's card
        CAPTURE = "capture", "Capture"  # collect the held amount
        VOID = "void", "Void"  # release the held amount
        REFUND = "refund", "Refund"  # return the collected amount

    class State(models.TextChoices):
        UNKNOWN = "unknown", "Unknown"  # sent or about to be; the outcome must be looked up by key
        SUCCEEDED = "succeeded", "Succeeded"
        DECLINED = "declined", "Declined"  # refused by the provider; nothing moved

    pk = models.CompositePrimaryKey("order_id", "kind")
    order_id = models.BigIntegerField()
    kind = models.CharField(max_length=9, choices=Kind.choices)
    # The order's UUID, which identifies it in the provider's ledger.
    reference = models.UUIDField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    token = models.CharField(
        max_length=64, blank=True, help_text="The provider's token for the card; never a number."
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.UNKNOWN)
    provider_id = models.CharField(max_length=64, blank=True)
    code = models.CharField(max_length=40, blank=True, help_text="Why it was declined, or is unknown.")
    message = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    # The start of the latest attempt: the time a call may be in flight counts from it.
    asked_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        # No index but the key, so that state updates stay heap-only (HOT). Unknown transactions belong to
        # orders in flight, which are found by their journeys.
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
    """Return the provider's idempotency key for one kind of transaction of one order."""
    return f"{reference}:{kind}"


class WebhookEvent(models.Model):
    """A processed webhook event of the payment provider, for deduplication."""

    id = models.CharField(primary_key=True, max_length=100)  # assigned by the provider
    key = models.CharField(max_length=100, help_text="The idempotency key of the call that it is about.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="payments_webhook_received")]

    def __str__(self) -> str:
        return self.id
