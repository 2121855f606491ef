"""The payment ledger: what we asked the payment provider to do, and what came of it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Transaction(models.Model):
    """One call to the payment provider for one order. All of an order's transactions are its payment.

    The row is written before the first call, with everything the call says; a repeat is the same row and
    the same idempotency key. So an order has at most one transaction of each kind, however often a step runs.
    """

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", "Authorize"  # hold the amount on the customer's card
        CAPTURE = "capture", "Capture"  # take what was held
        VOID = "void", "Void"  # let go of what was held
        REFUND = "refund", "Refund"  # give back what was taken

    class State(models.TextChoices):
        UNKNOWN = "unknown", "Unknown"  # asked or about to be; whatever came of it must be looked up by key
        SUCCEEDED = "succeeded", "Succeeded"
        DECLINED = "declined", "Declined"  # the provider said no; nothing moved

    pk = models.CompositePrimaryKey("order_id", "kind")
    order_id = models.BigIntegerField()
    kind = models.CharField(max_length=9, choices=Kind.choices)
    # The order's UUID: how the provider's books name the order.
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
    # When somebody last set out to ask: how long a call may still be on its way counts from here.
    asked_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        # No index but the key: a state that is written down once known then stays in its page. What is not
        # known belongs to an order under way, and those are found by their journeys.
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="payments_amount_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.amount} {self.currency} for order {self.order_id}: {self.state}"

    @property
    def key(self) -> str:
        """The idempotency key that every call for this transaction carries."""
        return idempotency_key(reference=str(self.reference), kind=self.kind)


def idempotency_key(*, reference: str, kind: str) -> str:
    """Return the key under which the provider files one kind of transaction of one order."""
    return f"{reference}:{kind}"


class WebhookEvent(models.Model):
    """A webhook of the payment provider that was dealt with: it counts once, however often it is sent."""

    id = models.CharField(primary_key=True, max_length=100)  # the provider's
    key = models.CharField(max_length=100, help_text="The idempotency key of the call that it is about.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="payments_webhook_received")]

    def __str__(self) -> str:
        return self.id
