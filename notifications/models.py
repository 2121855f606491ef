"""What customers were told by e-mail, and how far the reader that decides it has got in the journal."""

import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orders.journal import Position
from orders.models import Order


class Kind(models.TextChoices):
    """What a customer is told of."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Channel(models.TextChoices):
    """Which way it goes."""

    EMAIL = "email"
    NONE = "none"  # the order has no address; it is only on record


class State(models.TextChoices):
    """Where it stands."""

    RECORDED = "recorded"  # there is nothing to send
    WAITING = "waiting"  # to be sent, or being tried again
    SENT = "sent"  # the provider took it
    FAILED = "failed"  # given up, with the reason
    DROPPED = "dropped"  # never sent: over a limit, or to an address that is not known to be the customer's


class Notification(models.Model):
    """One thing that one customer is told, because of one event of their order."""

    # Not constrained in the database: written from the journal, which holds only orders that exist.
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    sequence = models.IntegerField(help_text="The event of the order that it tells of.")
    # A copy of the order's owner, for their list; not constrained, like the order's own.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    recipient = models.EmailField(blank=True)
    state = models.CharField(max_length=10, choices=State.choices)
    # When it is to be tried next, by the database's clock. NULL: it is at rest.
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    # Counted up when a person has it sent again: to the provider that is another message.
    issue = models.SmallIntegerField(default=1, db_default=1)
    failure = models.CharField(max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Each event is told once, however often the journal is read.
            models.UniqueConstraint(fields=["order", "sequence"], name="notifications_once_per_event"),
        ]
        indexes = [
            models.Index(fields=["owner", "id"], name="notifications_by_owner"),
            # The queue of the sender. Its size follows what is to be sent, not the history.
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="notifications_due"),
        ]

    def __str__(self) -> str:
        return f"Order {self.order_id} {self.kind}"

    @property
    def key(self) -> str:
        """The key under which the provider takes it once."""
        again = f":{self.issue}" if self.issue > 1 else ""
        return f"{self.order_id}:{self.sequence}{again}"


def new_secret() -> str:
    """Return a secret that nobody guesses."""
    return f"whsec_{secrets.token_urlsafe(32)}"


class MailCount(models.Model):
    """How many e-mails went to one address, or were caused by one account, within an hour from the first of them."""

    name = models.CharField(max_length=300, primary_key=True)  # "to <address>" or "by <user's id>"
    since = models.DateTimeField()
    mails = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["since"], name="notifications_mails_since")]

    def __str__(self) -> str:
        return f"{self.mails} e-mails {self.name}"


class ConfirmedAddress(models.Model):
    """An address to which an account had an order confirmed: it may get bad news of this account's orders, too."""

    pk = models.CompositePrimaryKey("owner_id", "address")
    owner_id = models.BigIntegerField()
    address = models.CharField(max_length=254)  # in lower case

    def __str__(self) -> str:
        return f"{self.address} of user {self.owner_id}"


class Subscription(models.Model):
    """Another system that wants to be told what happens to orders."""

    url = models.CharField("URL", max_length=500)
    secret = models.CharField(max_length=100, default=new_secret, help_text="Each message is signed with it.")
    events = ArrayField(
        models.CharField(max_length=24),
        default=list,
        blank=True,
        help_text="Types of events, with commas between them; none: those that change an order's status.",
    )
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())
    # Who made it, and gets an e-mail when it is switched off.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # One process at a time makes calls to it. In the past: when the last visit ended.
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
    """One event that one subscription is told."""

    class State(models.TextChoices):
        WAITING = "waiting"  # to be told, or being tried again
        DELIVERED = "delivered"  # the receiver took it
        FAILED = "failed"  # given up, with the reason

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
            # Each event is put on record once for each subscription, however often the journal is read.
            models.UniqueConstraint(
                fields=["subscription", "order_id", "sequence"], name="webhooks_once_per_event"
            ),
        ]
        indexes = [
            # The queue of each subscription.
            models.Index(
                fields=["subscription", "due_at"],
                condition=Q(due_at__isnull=False),
                name="webhooks_due_by_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} for order {self.order_id}"

    @property
    def key(self) -> str:
        """What the receiver knows a message by."""
        return f"{self.order_id}:{self.sequence}"


class EventCount(models.Model):
    """How many events of a type the journal's reader has passed, and how long after placement they came."""

    type = models.CharField(max_length=24, primary_key=True)
    events = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="From placement to the event, all of them together.")
    buckets = ArrayField(
        models.BigIntegerField(), help_text="Events by those seconds, see notifications.event_counters."
    )

    def __str__(self) -> str:
        return f"{self.events} times {self.type}"


class JournalCursor(models.Model):
    """How far a reader of the whole journal is. Locked while it reads, so that one reads at a time."""

    name = models.CharField(max_length=40, primary_key=True)
    transaction_id = models.BigIntegerField(default=0)
    order_id = models.BigIntegerField(default=0)
    sequence = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"

    @property
    def position(self) -> Position:
        """The last event that was dealt with."""
        return Position(self.transaction_id, self.order_id, self.sequence)

    def move_to(self, position: Position) -> None:
        """Store that everything up to `position` is dealt with."""
        self.transaction_id, self.order_id = position.transaction_id, position.order_id
        self.sequence = position.sequence
        self.save(update_fields=["transaction_id", "order_id", "sequence"])
