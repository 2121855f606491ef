"""The payment ledger."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from database.fields import MoneyField
from iso.currencies import format_amount


class Transaction(models.Model):
    """One provider call of an order, written before it is made.

    A decided row is never sent again: a new attempt is a new row.
    """

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", "Authorize"  # holds the amount on the card
        CAPTURE = "capture", "Capture"  # collects it
        VOID = "void", "Void"  # releases it
        REFUND = "refund", "Refund"  # returns what was collected
        REVERSAL = "reversal", "Reversal"  # the provider's: its parent, which succeeded, failed later
        DISPUTE = "dispute", "Dispute"  # the customer's bank wants its parent back; succeeded: it is lost

    class State(models.TextChoices):
        UNKNOWN = "unknown", "Unknown"  # sent or about to be, or not decided; look it up
        SUCCEEDED = "succeeded", "Succeeded"
        DECLINED = "declined", "Declined"  # nothing moved

    pk = models.CompositePrimaryKey("order_id", "number")
    order_id = models.BigIntegerField()
    number = models.IntegerField()  # `number_of` its kind and rank
    # A capture's authorization, a refund's capture.
    parent = models.IntegerField(null=True)
    attempt = models.SmallIntegerField(db_default=1)
    # None if it refunds all that is left.
    credit = models.IntegerField(null=True)
    key = models.CharField(max_length=100, db_default="", help_text="The idempotency key of all its calls.")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    # Later calls and look-ups go through the gateway that has the money.
    gateway = models.CharField(max_length=40, db_default="http")
    # The order in the provider's ledger.
    reference = models.UUIDField()
    amount = MoneyField()
    currency = models.CharField(max_length=3)
    token = models.CharField(
        max_length=255, blank=True, help_text="The provider's token for the card; never a number."
    )
    state = models.CharField(max_length=9, choices=State.choices, default=State.UNKNOWN)
    provider_id = models.CharField(max_length=64, blank=True)
    code = models.CharField(max_length=40, blank=True, help_text="Why it was declined, or is unknown.")
    message = models.CharField(max_length=200, blank=True)
    provider_parent = models.CharField(max_length=64, blank=True, db_default="")
    action = models.JSONField(null=True)
    started_at = models.DateTimeField()
    asked_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        # Keep state updates heap-only (HOT): no index of what changes. Journeys find unknown transactions.
        indexes = [
            models.Index(fields=["order_id"], condition=Q(kind="dispute"), name="payments_disputes"),
            models.Index(fields=["order_id"], condition=Q(kind="reversal"), name="payments_reversals"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="payments_amount_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {format_amount(self.amount, self.currency)} for order {self.order_id}: {self.state}"


KINDS = [kind.value for kind in Transaction.Kind]
NUMBERS_PER_RANK = 10


def number_of(kind: str, rank: int = 1) -> int:
    """Return the number of an order's n-th transaction of a kind: ranks begin at 1."""
    return KINDS.index(kind) + 1 + NUMBERS_PER_RANK * (rank - 1)


def rank_of(number: int) -> int:
    return number // NUMBERS_PER_RANK + 1


def idempotency_key(*, reference: str, kind: str, rank: int = 1) -> str:
    return f"{reference}:{kind}" if rank == 1 else f"{reference}:{kind}:{rank}"


def whole_orders(found: models.QuerySet[Transaction], *, page: int) -> list[Transaction]:
    """Return about a page of transactions that ends between two orders."""
    rows = list(found[: page + 1])
    if len(rows) <= page:
        return rows
    shown = [row for row in rows if row.order_id != rows[page].order_id]
    # One order may have more than a page of refunds.
    return shown or list(found.filter(order_id=rows[page].order_id))


def create_on(parent: Transaction, *, kind: str, number: int, **more: object) -> Transaction:
    """Insert a row of a kind on another of the same order, with its reference, gateway and currency."""
    values: dict[str, object] = {
        "order_id": parent.order_id,
        "number": number,
        "parent": parent.number,
        "key": idempotency_key(reference=str(parent.reference), kind=kind, rank=rank_of(number)),
        "kind": kind,
        "gateway": parent.gateway,
        "reference": parent.reference,
        "currency": parent.currency,
    }
    return Transaction.objects.create(**values | more)


class WebhookEvent(models.Model):
    id = models.CharField(primary_key=True, max_length=100)  # assigned by the provider
    key = models.CharField(max_length=100, help_text="The idempotency key of the call that it is about.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="payments_webhook_received")]

    def __str__(self) -> str:
        return self.id


class ManualEntry(models.Model):
    """What the gateway `manual` was called for, and what staff recorded as received: its ledger."""

    class Kind(models.TextChoices):
        AUTHORIZE = "authorize", "Authorize"  # what is to arrive
        RECEIVED = "received", "Received"
        CAPTURE = "capture", "Capture"
        VOID = "void", "Void"
        REFUND = "refund", "Refund"
        ASKED = "asked", "Asked"  # staff are to pay it back by hand
        RETURNED = "returned", "Paid back"  # what had arrived beyond what was owed

    key = models.CharField(max_length=300, unique=True)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    asked_for = models.CharField(max_length=9, blank=True, db_default="", help_text="Void or refund.")
    reference = models.UUIDField(db_index=True)
    amount = MoneyField()
    currency = models.CharField(max_length=3)
    recorded_at = models.DateTimeField(db_default=Now(), db_index=True)
    recorded_by = models.BigIntegerField(null=True)

    class Meta:
        verbose_name_plural = "manual entries"

    def __str__(self) -> str:
        return f"{self.kind} of {format_amount(self.amount, self.currency)}"
