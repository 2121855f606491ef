"""An order: what was asked for (`Order`, `OrderLine`), where it stands (`Journey`), what happened (`OrderEvent`).

What was asked for never changes after it was placed. What changes lives in the narrow `Journey` row, so that
an order on its way rewrites a few dozen bytes and two indexes and not its addresses.
"""

import re
import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Cast, Now

from orders.workflow import JourneyState, Leg, Status, has_ended, may_be_retried

NUMBER = re.compile(r"ORD-\d{14}-0*(\d{1,19})", re.ASCII)


def order_number(order_id: int, placed_at: datetime) -> str:
    """Return the number people call an order by. It ends in the order's id, so no two orders share one."""
    return order_numbers([order_id], placed_at)[0]


def order_numbers(order_ids: Iterable[int], placed_at: datetime) -> list[str]:
    """Return the numbers of orders that were placed at the same moment."""
    prefix = f"ORD-{placed_at:%Y%m%d%H%M%S}-"
    return [f"{prefix}{order_id:04d}" for order_id in order_ids]


def id_of_number(number: str) -> int | None:
    """Return the order id that an order number ends in; None if this is no order number."""
    match = NUMBER.fullmatch(number)
    return int(match[1]) if match else None


def new_uuid() -> uuid.UUID:
    """Return a UUID of version 7: random, but for the time at its beginning.

    What is new then goes to the end of the index, and not to any page of it, to be read first and logged whole.
    """
    milliseconds, random = time.time_ns() // 1_000_000, secrets.randbits(74)
    return uuid.UUID(
        int=milliseconds << 80 | 7 << 76 | (random >> 62) << 64 | 2 << 62 | random & (1 << 62) - 1
    )


# The same for a statement, by the database's clock: PostgreSQL itself has it from version 18 on.
NEW_UUID = """
    encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM now()) * 1000)::bigint) FROM 3) FROM 1), 52, 1), 53, 1), 'hex')::uuid
"""


class Order(models.Model):
    """What a customer asked for."""

    uuid = models.UUIDField("UUID", unique=True, default=uuid.uuid4, editable=False)
    # No database constraint: it would lock the customer's one row for every order; users with orders are
    # deactivated, not deleted, and the audit looks for orphans.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    customer_id = models.CharField(max_length=64, blank=True, help_text="The shop's own id for the customer.")
    customer_name = models.CharField(max_length=100)
    email = models.EmailField(blank=True)
    currency = models.CharField(max_length=3)
    goods_amount = models.DecimalField(max_digits=12, decimal_places=2)
    weight_grams = models.BigIntegerField()
    shipping_address = models.JSONField(default=dict)
    country = models.CharField(max_length=2, help_text="ISO 3166 code of the country to deliver to.")
    payment_token = models.CharField(
        max_length=64, help_text="The provider's token for the card; never a number."
    )
    placed_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["owner", "id"], name="orders_by_owner"),
            models.Index(fields=["customer_name", "id"], name="orders_by_customer"),
        ]
        permissions = [
            ("operate_order", "Can process, complete, cancel, refund and retry any order"),
            ("complete_order", "Can complete any order"),
            ("refund_order", "Can refund any order, and retry it"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """The number people call the order by."""
        return order_number(self.pk, self.placed_at)

    @property
    def total_amount(self) -> Decimal:
        """Goods and shipping; goods alone until shipping has been quoted."""
        return self.goods_amount + (self.journey.shipping_amount or Decimal(0))


class OrderLine(models.Model):
    """A product of an order, at the price and under the name it had when the order was placed."""

    pk = models.CompositePrimaryKey("order_id", "product_id")
    # Neither reference is constrained in the database: lines are inserted by the statement that inserts the
    # order from rows of the product table, and never change; the audit looks for orphans.
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="lines"
    )
    product_id = models.BigIntegerField()
    sku = models.CharField(max_length=40)
    product_name = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["product_id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="orders_line_quantity_positive"),
            models.CheckConstraint(condition=Q(unit_price__gt=0), name="orders_line_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_name}"

    @property
    def amount(self) -> Decimal:
        """What the line costs."""
        return self.unit_price * self.quantity


class Journey(models.Model):
    """Where an order stands. Written only through `orders.journal.save`, with the events that say why."""

    order = models.OneToOneField(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="journey"
    )
    status = models.CharField(max_length=10, choices=[(s.value, s.value.capitalize()) for s in Status])
    # The sequence of the order's last event: its version, and the ETag of everything said about it.
    sequence = models.IntegerField(default=1)
    # When the order next needs a look, by the database's clock. NULL: it is at rest.
    due_at = models.DateTimeField(null=True, blank=True)
    # The batch that may write to the order's journey now: the fencing token of late writers.
    batch_id = models.BigIntegerField(null=True, blank=True)
    # Times the order was claimed since it last got anywhere.
    attempts = models.SmallIntegerField(default=0)
    stock = models.CharField(max_length=10, blank=True, choices=[(leg.value, leg.value) for leg in Leg])
    shipping = models.CharField(max_length=10, blank=True, choices=[(leg.value, leg.value) for leg in Leg])
    payment = models.CharField(max_length=10, blank=True, choices=[(leg.value, leg.value) for leg in Leg])
    shipping_amount = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    # Where a cancelling order is heading, and why: cancelled by somebody, or rejected by a leg.
    outcome = models.CharField(max_length=10, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    completion_requested = models.BooleanField(default=False)
    # What an order that is due later is waiting for, as a code (`orders.workflow.Wait`).
    waiting_for = models.CharField(max_length=40, blank=True)
    # Why a person should look at it. Not a state: an order that needs attention may well go on being retried.
    attention = models.CharField(max_length=200, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # The dispatcher's queue. Its size follows the work in flight, not the history.
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="orders_due"),
            # Everything that has not ended well, for operators' lists and counts.
            models.Index(
                fields=["status", "order"],
                condition=~Q(status__in=["confirmed", "completed"]),
                name="orders_not_confirmed",
            ),
            models.Index(fields=["order"], condition=~Q(attention=""), name="orders_attention"),
            # The queue for units that unpaid orders hold: nearly always empty.
            models.Index(fields=["order"], condition=Q(stock="short"), name="orders_short_of_stock"),
            # Placed on hold and not started: counted for each account, and cancelled when they are too old.
            models.Index(
                fields=["order"], condition=Q(status="pending", due_at__isnull=True), name="orders_held"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"

    @property
    def progress(self) -> int:
        """Percent of the journey that lies behind."""
        stock, shipping, payment = Leg(self.stock), Leg(self.shipping), Leg(self.payment)
        return JourneyState(
            self.pk, Status(self.status), self.sequence, stock=stock, shipping=shipping, payment=payment
        ).progress

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come of it by itself."""
        return has_ended(self.status, completion_requested=self.completion_requested)

    @property
    def may_be_retried(self) -> bool:
        """Whether a retry would bring anything."""
        return may_be_retried(self.status, is_due=self.due_at is not None, attention=self.attention)


class CurrentTransaction(Func):
    """The number that readers of the whole journal order an event by: about that of its transaction.

    It is never less than the transaction's own number, so the event is not looked for before it is there.
    And it is never less than that of the latest transaction that has ended: two transactions may reach one
    order in the opposite order of their numbers, and whoever comes second is to be numbered second.
    """

    template = (
        "greatest(pg_current_xact_id()::text::bigint,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"
    )


class OrderEvent(models.Model):
    """Something that happened to an order. Appended in the transaction that made it happen; never changed."""

    pk = models.CompositePrimaryKey("order_id", "sequence")
    # Not constrained in the database: appended only beside the lock on the order's journey; the audit proves it.
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    sequence = models.IntegerField()  # 1, 2, 3, … with no gap
    type = models.CharField(max_length=24)  # orders.workflow.EventType
    progress = models.SmallIntegerField(default=0)  # percent of the journey that lies behind
    data = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())
    # Sequences of different orders commit out of order; the transaction's number tells a reader of the whole
    # journal which events it may already rely on (`orders.journal.follow`).
    transaction_id = models.BigIntegerField(db_default=Cast(CurrentTransaction(), models.BigIntegerField()))

    class Meta:
        ordering = ["sequence"]
        indexes = [
            # For readers of the whole journal. New entries go to the end of it, so they cost the writer little; a
            # block range index would cost less, and its readers more with each event until it is summarised.
            models.Index(fields=["transaction_id"], name="orders_event_by_transaction"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} #{self.sequence} {self.type}"


class Batch(models.Model):
    """Orders that travel together, on one Celery canvas. Its id is the fencing token of their journeys."""

    started_at = models.DateTimeField(db_default=Now())
    size = models.IntegerField()
    # Settled, or taken over by later batches.
    finished_at = models.DateTimeField(null=True)
    order_ids = ArrayField(models.BigIntegerField(), db_default=[])
    # Some of its orders come from a batch that was lost. One of them may be the cause: see `StepRun`.
    is_watched = models.BooleanField(db_default=False)
    # Times in a row that its orders, each of them, had been lost in somebody's hands before they were claimed for it.
    losses = models.SmallIntegerField(db_default=0)
    # The node through whose broker it travels; empty where one broker serves all.
    node = models.CharField(max_length=100, db_default="")

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            models.Index(fields=["started_at"], name="orders_batch_started"),
            models.Index(
                fields=["started_at"], condition=Q(finished_at__isnull=True), name="orders_batch_under_way"
            ),
        ]

    def __str__(self) -> str:
        return f"Batch {self.pk} ({self.size} orders)"


class StepRun(models.Model):
    """A step that has worked on a batch, or does: as which Celery task, on which worker, from when to when.

    It is noted with what the step did, in the same transaction. Only where a batch is watched is it noted first, and
    committed: if that batch is lost and the run has not ended, it was lost in somebody's hands, and one of its orders
    may be the cause; else it was lost on the way, by nobody's fault.

    The table is logged: unlogged, it would be empty after a crash of PostgreSQL, and an order that is the cause of
    the crash would be forgiven its tries for ever.
    """

    # Without a constraint, which would lock the batch for each step.
    batch = models.ForeignKey(
        Batch, on_delete=models.DO_NOTHING, db_constraint=False, related_name="step_runs"
    )
    step = models.CharField(max_length=40)
    task = models.CharField(max_length=40, help_text="Celery's id; empty if it did not run on a worker.")
    worker = models.CharField(max_length=200)
    began_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["began_at"], name="orders_steprun_began")]

    def __str__(self) -> str:
        return f"{self.step} of batch {self.batch_id}"


class ArchivedOrder(models.Model):
    """An order of long ago, in one row: moved here by `orders.archive` with everything that belongs to it."""

    id = models.BigIntegerField(primary_key=True)
    uuid = models.UUIDField("UUID", unique=True)
    owner_id = models.BigIntegerField()
    month = models.DateField(help_text="The first day of the month in which it was placed.")
    # What the payment provider's books should say that we have of it.
    kept_amount = models.DecimalField(max_digits=12, decimal_places=2)
    # The rows it was, as JSON: order, journey, lines, events, transactions.
    document = models.JSONField()
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        # Months follow each other as the table grows: this costs its writer next to nothing.
        indexes = [BrinIndex(fields=["month"], name="orders_archived_month", autosummarize=True)]

    def __str__(self) -> str:
        return f"archived order {self.pk}"


class ArchivedUnits(models.Model):
    """Units of a product that archived orders took: what is sold is the sum of these and of the orders' lines."""

    product_id = models.BigIntegerField(primary_key=True)
    quantity = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "archived units"

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id}"
