"""Orders: content, state, history."""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast, Now

from database.fields import MoneyField
from iso.currencies import rounded
from orders import legs
from orders.managers import REFERENCE_INDEX, CurrentTransaction, JourneyManager, OrderManager
from orders.rules.adjustments import Adjustment, of_line, of_rows
from orders.status import Status, has_ended, is_held, may_be_retried
from orders.workflow import JourneyState

NUMBER = re.compile(r"ORD-\d{14}-0*(\d{1,19})", re.ASCII)


def order_number(order_id: int, placed_at: datetime) -> str:
    """Return the public order number, unique by the id at its end."""
    return order_numbers([order_id], placed_at)[0]


def order_numbers(order_ids: Iterable[int], placed_at: datetime) -> list[str]:
    prefix = f"ORD-{placed_at:%Y%m%d%H%M%S}-"
    return [f"{prefix}{order_id:04d}" for order_id in order_ids]


def id_of_number(number: str) -> int | None:
    return int(match[1]) if (match := NUMBER.fullmatch(number)) else None


class Order(models.Model):
    uuid = models.UUIDField("UUID", unique=True, default=uuid.uuid4, editable=False)
    # No constraint: it would lock the customer's row for every order.
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
    goods_amount = MoneyField()
    weight_grams = models.BigIntegerField()
    shipping_address = models.JSONField(default=dict)
    country = models.CharField(max_length=2, help_text="ISO 3166 code of the country to deliver to.")
    payment_token = models.CharField(
        max_length=255, help_text="The provider's token for the card; never a number."
    )
    # Empty: settings.PAYMENT_GATEWAY when it is first charged.
    payment_gateway = models.CharField(max_length=40, blank=True, default="", db_default="")
    placed_at = models.DateTimeField()
    external_reference = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="The shop's own reference, of one order of the account.",
    )
    metadata = models.JSONField(default=dict, db_default={}, blank=True, help_text="The shop's own facts.")
    language = models.CharField(
        max_length=35, blank=True, default="", db_default="", help_text="BCP 47; empty: the shop's."
    )
    # As `orders.rules.adjustments` has them, those of lines last; NULL without any.
    adjustments = models.JSONField(null=True, blank=True)
    adjustment_amount = MoneyField(
        default=Decimal(0), db_default=0, help_text="The sum of the adjustments that are not included."
    )
    # Raised to revoke the order's signed links.
    link_version = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    objects = OrderManager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["owner", "id"], name="orders_by_owner"),
            models.Index(fields=["customer_name", "id"], name="orders_by_customer"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["external_reference", "owner"],
                condition=~Q(external_reference=""),
                name=REFERENCE_INDEX,
            ),
        ]
        permissions = [
            ("operate_order", "Can process, complete, cancel, refund and retry any order"),
            ("complete_order", "Can complete any order"),
            ("refund_order", "Can refund any order, and retry it"),
            ("price_order", "Can give prices and adjustments of the orders it places"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return order_number(self.pk, self.placed_at)

    @property
    def total_amount(self) -> Decimal:
        """Goods, adjustments that are not included, and shipping once it is priced."""
        total = self.goods_amount + self.adjustment_amount + (self.journey.shipping_amount or Decimal(0))
        return rounded(total, self.currency)

    @property
    def adjustment_list(self) -> list[Adjustment]:
        """All adjustments, with those of single lines."""
        return of_rows(self.adjustments)

    @property
    def own_adjustments(self) -> list[Adjustment]:
        """Those of the order as a whole."""
        return of_line(self.adjustment_list, None)


class OrderLine(models.Model):
    """Units of a product. Lines of one product differ in price or properties."""

    pk = models.CompositePrimaryKey("order_id", "product_id", "number")
    # No constraints: the inserting statement reads the products.
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="lines"
    )
    product_id = models.BigIntegerField()
    # Among the lines of the product: 0, 1, …
    number = models.SmallIntegerField(default=0, db_default=0)
    sku = models.CharField(max_length=40)
    product_name = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField()
    unit_price = MoneyField()
    properties = models.JSONField(null=True, blank=True, help_text="The shop's own facts of the line.")

    class Meta:
        ordering = ["product_id", "number"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="orders_line_quantity_positive"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="orders_line_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_name}"

    @property
    def amount(self) -> Decimal:
        return self.unit_price * self.quantity


def leg_column() -> "models.CharField[str, str]":
    """Return the column of a leg. Its states are declared in `orders.legs`: one more is no migration."""
    return models.CharField(max_length=10, blank=True, default="", db_default="")


class Journey(models.Model):
    """Where an order stands. Written only through its manager."""

    order = models.OneToOneField(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="journey"
    )
    status = models.CharField(max_length=10, choices=[(s.value, s.value.capitalize()) for s in Status])
    # Of the last event: the order's version and ETag.
    sequence = models.IntegerField(default=1)
    # By the database's clock; NULL at rest.
    due_at = models.DateTimeField(null=True, blank=True)
    # Of the queue (`orders.managers`): a bulk is claimed beside single orders, and other owners' bulks.
    lane = models.SmallIntegerField(default=0, db_default=0)
    # The fencing token: only this batch may write.
    batch_id = models.BigIntegerField(null=True, blank=True)
    # Claims since the order last progressed.
    attempts = models.SmallIntegerField(default=0)
    stock = leg_column()
    shipping = leg_column()
    payment = leg_column()
    shipping_amount = MoneyField(null=True, blank=True)
    outcome = models.CharField(max_length=10, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    completion_requested = models.BooleanField(default=False)
    # A code (`orders.legs.WAITS`).
    waiting_for = models.CharField(max_length=40, blank=True)
    # Not a state: the order may still be retried.
    attention = models.CharField(max_length=200, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JourneyManager()

    class Meta:
        indexes = [
            # The dispatcher's queue: its size follows the work in flight.
            models.Index(
                fields=["lane", "due_at"], condition=Q(due_at__isnull=False), name="orders_due_by_lane"
            ),
            # Operators' lists and counts.
            models.Index(
                fields=["status", "order"],
                condition=~Q(status__in=["confirmed", "completed"]),
                name="orders_not_confirmed",
            ),
            models.Index(fields=["order"], condition=~Q(attention=""), name="orders_attention"),
            # None of a leg's state: updates that change it stay heap-only (HOT).
            models.Index(
                fields=["order"], condition=Q(status="pending", due_at__isnull=True), name="orders_held"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status}"

    @property
    def progress(self) -> int:
        journey = JourneyState(self.pk, Status(self.status), self.sequence)
        for name, state in legs.states_by_name(self).items():
            setattr(journey, name, state)
        return journey.progress

    @property
    def is_held(self) -> bool:
        return is_held(self.status, is_due=self.due_at is not None)

    @property
    def has_ended(self) -> bool:
        return has_ended(self.status, completion_requested=self.completion_requested)

    @property
    def may_be_retried(self) -> bool:
        return may_be_retried(self.status, is_due=self.due_at is not None, attention=self.attention)


class Credit(models.Model):
    """What the shop decided to refund of an order. The payment ledger has the outcome.

    Numbered under the order's lock when it is accepted; steps only carry it out.
    """

    class State(models.TextChoices):
        REQUESTED = "requested", "Requested"
        REFUNDED = "refunded", "Refunded"
        FAILED = "failed", "Failed"  # declined: a retry makes a new attempt
        SUPERSEDED = "superseded", "Superseded"  # the order was cancelled, and all of it refunded

    pk = models.CompositePrimaryKey("order_id", "number")
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="credits"
    )
    number = models.IntegerField()  # 1, 2, 3, … without gaps
    amount = MoneyField()
    # [product id, units, amount] of each line, and its number if that is not 0.
    lines = models.JSONField(default=list)
    shipping_amount = MoneyField(default=Decimal(0))
    reason = models.CharField(max_length=200, blank=True)
    restock = models.BooleanField(default=False, help_text="Whether the units went back to stock.")
    requested_by = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    requested_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["number"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="orders_credit_amount_positive"),
        ]

    def __str__(self) -> str:
        return f"Credit {self.number} of {self.amount} for order {self.order_id}: {self.state}"

    @property
    def units(self) -> dict[int, int]:
        units: dict[int, int] = {}
        for (product_id, _), quantity in self.units_by_line.items():
            units[product_id] = units.get(product_id, 0) + quantity
        return units

    @property
    def units_by_line(self) -> dict[tuple[int, int], int]:
        """Units by product id and number of the line."""
        return {(line[0], line[3] if len(line) > 3 else 0): line[1] for line in self.lines}


class OrderEvent(models.Model):
    """An event of an order, appended in its transaction; never changed."""

    pk = models.CompositePrimaryKey("order_id", "sequence")
    order = models.ForeignKey(
        Order, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    sequence = models.IntegerField()  # 1, 2, 3, … without gaps
    type = models.CharField(max_length=24)  # orders.events.EventType
    progress = models.SmallIntegerField(default=0)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())
    # Bounds what `orders.journal.follow` may rely on.
    transaction_id = models.BigIntegerField(db_default=Cast(CurrentTransaction(), models.BigIntegerField()))

    class Meta:
        ordering = ["sequence"]
        # BRIN costs readers more until it is summarised.
        indexes = [models.Index(fields=["transaction_id"], name="orders_event_by_transaction")]

    def __str__(self) -> str:
        return f"{self.order_id} #{self.sequence} {self.type}"


class StockQueue(models.Model):
    """An order that waits for units held by unpaid ones. The row may outlast the wait: the journey decides."""

    order_id = models.BigIntegerField(primary_key=True)

    def __str__(self) -> str:
        return f"order {self.order_id} waits for stock"


class Batch(models.Model):
    """Orders dispatched on one Celery canvas. Its id is their fencing token."""

    started_at = models.DateTimeField(db_default=Now())
    size = models.IntegerField()
    finished_at = models.DateTimeField(null=True)
    order_ids = ArrayField(models.BigIntegerField(), db_default=[])
    is_watched = models.BooleanField(db_default=False)  # in quarantine: one may have crashed a worker
    is_bulk = models.BooleanField(db_default=False)  # makes room for orders placed one by one
    losses = models.SmallIntegerField(db_default=0)
    # Whose broker carries it; empty where one serves all.
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
    """A run of a step on a batch. In a quarantined batch, one that never ended points to the order."""

    # A constraint would lock the batch for each step.
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
    """An old order with all its rows, archived by `orders.maintenance.archive`."""

    id = models.BigIntegerField(primary_key=True)
    uuid = models.UUIDField("UUID", unique=True)
    owner_id = models.BigIntegerField()
    month = models.DateField(help_text="The first day of the month in which it was placed.")
    # Expected in the provider's ledger.
    kept_amount = MoneyField()
    document = models.JSONField()
    archived_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        # Months rise with the table: BRIN costs next to nothing.
        indexes = [BrinIndex(fields=["month"], name="orders_archived_month", autosummarize=True)]

    def __str__(self) -> str:
        return f"archived order {self.pk}"


class ArchivedUnits(models.Model):
    """Units in archived orders; with live orders' lines, what is sold."""

    product_id = models.BigIntegerField(primary_key=True)
    quantity = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "archived units"

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id}"
