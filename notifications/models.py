"""Notifications, webhooks, and the journal reader's cursor and counts."""

import base64
import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orders.journal import Position
from orders.models import Order


class Kind(models.TextChoices):
    RECEIVED = "received"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    COMPLETED = "completed"
    PART_REFUNDED = "part_refunded"


class Channel(models.TextChoices):
    EMAIL = "email"
    NONE = "none"  # no address; recorded only


class State(models.TextChoices):
    RECORDED = "recorded"  # nothing to send
    WAITING = "waiting"  # to be sent or retried
    SENT = "sent"  # accepted by the provider
    FAILED = "failed"  # failed for good, with the reason
    DROPPED = "dropped"  # over a limit, or to an unknown address


class Notification(models.Model):
    # No constraint: the journal holds only existing orders.
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    sequence = models.IntegerField(help_text="The event of the order that it tells of.")
    # Denormalised; unconstrained likewise.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    recipient = models.EmailField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices)
    # Next try, by the database's clock. NULL: finished.
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    issue = models.SmallIntegerField(default=1, db_default=1)
    failure = models.CharField(max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Once per event, however often the journal is read.
            models.UniqueConstraint(fields=["order", "sequence"], name="notifications_once_per_event"),
        ]
        indexes = [
            models.Index(fields=["owner", "id"], name="notifications_by_owner"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="notifications_due"),
            # Given up: counted at each scrape.
            models.Index(fields=["id"], condition=Q(state="failed"), name="notifications_given_up"),
        ]

    def __str__(self) -> str:
        return f"Order {self.order_id} {self.kind}"

    @property
    def key(self) -> str:
        again = f":{self.issue}" if self.issue > 1 else ""
        return f"{self.order_id}:{self.sequence}{again}"


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


class MailCount(models.Model):
    """E-mails to an address or of an account, within an hour."""

    name = models.CharField(max_length=300, primary_key=True)  # "to <address>" or "by <user's id>"
    since = models.DateTimeField()
    mails = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["since"], name="notifications_mails_since")]

    def __str__(self) -> str:
        return f"{self.mails} e-mails {self.name}"


class ConfirmedAddress(models.Model):
    """An address with a confirmed order of this account: it may receive bad news."""

    pk = models.CompositePrimaryKey("owner_id", "address")
    owner_id = models.BigIntegerField()
    address = models.CharField(max_length=254)  # lower case

    def __str__(self) -> str:
        return f"{self.address} of user {self.owner_id}"


class Subscription(models.Model):
    class Signature(models.TextChoices):
        STANDARD = "standard", "Standard Webhooks"
        HEX = "hex", "t=…,v1=… of earlier releases"

    url = models.CharField("URL", max_length=500)
    secret = models.CharField(max_length=100, default=new_secret, help_text="Each message is signed with it.")
    events = ArrayField(
        models.CharField(max_length=24),
        default=list,
        blank=True,
        help_text="Types of events, with commas between them; none: those that change an order's status.",
    )
    active = models.BooleanField(default=True)
    signature = models.CharField(
        max_length=10,
        choices=Signature.choices,
        default=Signature.STANDARD,
        db_default=Signature.STANDARD,
        help_text="The form of signatures. The former one goes with the next release.",
    )
    created_at = models.DateTimeField(db_default=Now())
    # Notified when it is switched off.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # The visit's lease; in the past: its end.
    leased_until = models.DateTimeField(null=True, blank=True)
    failures = models.IntegerField(
        default=0, db_default=0, help_text="Visits in a row in which it took nothing."
    )
    failing_since = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True, help_text="It is left alone until then.")
    switched_off_at = models.DateTimeField(null=True, blank=True, help_text="By itself, as it took nothing.")
    switched_off_reason = models.CharField(max_length=200, blank=True, default="", db_default="")
    owner_notified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    class State(models.TextChoices):
        WAITING = "waiting"  # to be sent or retried
        DELIVERED = "delivered"  # accepted by the receiver
        FAILED = "failed"  # failed for good, with the reason

    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    order_id = models.BigIntegerField()
    sequence = models.IntegerField(help_text="The event of the order.")
    event = models.CharField(max_length=24)
    state = models.CharField(max_length=10, choices=State.choices)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    status_code = models.SmallIntegerField(null=True, blank=True, help_text="Of the latest answer.")
    failure = models.CharField(max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            # Once per subscription and event, however often the journal is read.
            models.UniqueConstraint(
                fields=["subscription", "order_id", "sequence"], name="webhooks_once_per_event"
            ),
        ]
        indexes = [
            models.Index(
                fields=["subscription", "due_at"],
                condition=Q(due_at__isnull=False),
                name="webhooks_due_by_one",
            ),
            models.Index(fields=["id"], condition=Q(state="failed"), name="webhooks_given_up"),
        ]

    def __str__(self) -> str:
        return f"{self.event} for order {self.order_id}"

    @property
    def key(self) -> str:
        return f"{self.order_id}:{self.sequence}"


class EventCount(models.Model):
    type = models.CharField(max_length=24, primary_key=True)
    events = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="From placement to the event, all of them together.")
    buckets = ArrayField(
        models.BigIntegerField(), help_text="Events by those seconds, see notifications.event_counters."
    )

    def __str__(self) -> str:
        return f"{self.events} times {self.type}"


class JournalCursor(models.Model):
    """A journal reader's cursor; its row lock serialises readers."""

    name = models.CharField(max_length=40, primary_key=True)
    transaction_id = models.BigIntegerField(default=0)
    order_id = models.BigIntegerField(default=0)
    sequence = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"

    @property
    def position(self) -> Position:
        return Position(self.transaction_id, self.order_id, self.sequence)

    def move_to(self, position: Position) -> None:
        self.transaction_id, self.order_id = position.transaction_id, position.order_id
        self.sequence = position.sequence
        self.save(update_fields=["transaction_id", "order_id", "sequence"])
