"""The audit: proves against the database and the payment provider's own ledger that nothing was lost.

Each check is one set-based statement that names what breaks it: nothing found, nothing broken.
"""

import logging
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice

from django.db import IntegrityError, connection, transaction

from database import deadline
from orders.events import STATUS_AFTER, EventType
from orders.maintenance import fold, leg_checks, money_checks, total_checks
from orders.models import Journey
from orders.status import TRANSITIONS
from payments.gateways import gateway, names_in_use
from payments.gateways.protocol import LedgerLine
from providers.errors import ProviderUnavailable
from scheduling.models import ScheduledRun
from scheduling.slots import database_now, once_per_slot

logger = logging.getLogger(__name__)

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# The window of the ledger, and how often it is read as a whole.
DAY = timedelta(days=1)
WHOLE = "audit of the whole ledger"

# Offenders listed per check.
NAMED = 100


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant, and the order (or product) that breaks it."""

    check: str
    subject: str
    details: str

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: {self.details}"


@dataclass(slots=True)
class Report:
    violations: list[Violation] = field(default_factory=list)
    orders: int = 0
    checks: int = 0
    # Why the provider's ledger could not be compared; empty if it was.
    ledger_skipped: str = ""
    # Ledger lines of other users of the account.
    foreign_lines: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether every invariant that could be checked holds."""
        return not self.violations

    @property
    def summary(self) -> str:
        ledger = f" (without the provider's ledger: {self.ledger_skipped})" if self.ledger_skipped else ""
        foreign = f"; {self.foreign_lines} ledger lines of others" if self.foreign_lines else ""
        found = f"{self.orders} orders, {self.checks} checks, {len(self.violations)} violations"
        return f"{found}{foreign}{ledger}"


CHECKS: dict[str, str] = {
    "No order is lost: each has a journey": """
        SELECT o.id::text, 'has no journey' FROM orders_order o
        LEFT JOIN orders_journey j ON j.order_id = o.id WHERE j.order_id IS NULL
    """,
    "No order is lost: one that is under way is due, held, or before a person": """
        SELECT j.order_id::text, status || ' and nobody will look at it' FROM orders_journey j
        LEFT JOIN orders_orderevent placed ON placed.order_id = j.order_id AND placed.sequence = 1
        WHERE due_at IS NULL AND attention = '' AND status IN ('pending', 'processing', 'cancelling')
          AND NOT (status = 'pending' AND placed.data->'held' = 'true' AND NOT EXISTS (
              SELECT FROM orders_orderevent e WHERE e.order_id = j.order_id AND e.type = 'order_released'))
    """,
    "No order is lost: what is due is due soon": """
        SELECT order_id::text, format('%s, and nobody will look at it before %s', status, due_at)
        FROM orders_journey WHERE due_at > now() + interval '1 day'
    """,
    "No order is lost: what a person should look at says why": """
        SELECT order_id::text, format('%s, its journal does not say why: %s', status, attention)
        FROM orders_journey j WHERE attention <> '' AND NOT EXISTS (
            SELECT FROM orders_orderevent e WHERE e.order_id = j.order_id AND e.type = 'attention_needed'
            AND e.sequence > coalesce((SELECT max(r.sequence) FROM orders_orderevent r
                                       WHERE r.order_id = j.order_id AND r.type = 'order_retried'), 0))
    """,
    "No order is lost: one that ended is at rest, one that did not has no end": """
        SELECT order_id::text, format('%s, due %s, in batch %s, ended %s', status, due_at, batch_id, finished_at)
        FROM orders_journey WHERE
            (status IN ('completed', 'cancelled', 'rejected')
             AND ((due_at IS NOT NULL AND NOT (status = 'completed' AND payment IN ('refunding', 'moving')))
                  OR finished_at IS NULL))
            OR (status = 'confirmed' AND (finished_at IS NULL
                OR (due_at IS NOT NULL AND NOT completion_requested AND payment NOT IN ('refunding', 'moving'))))
            OR (status IN ('pending', 'processing', 'cancelling') AND finished_at IS NOT NULL)
            OR (due_at IS NULL AND batch_id IS NOT NULL)
            OR (payment IN ('refunding', 'moving') AND due_at IS NULL AND attention = '')
    """,
    "Orders are whole: each has lines that add up": """
        SELECT o.id::text, format('goods %s, lines %s', o.goods_amount, sum(l.unit_price * l.quantity))
        FROM orders_order o LEFT JOIN orders_orderline l ON l.order_id = o.id
        GROUP BY o.id HAVING o.goods_amount IS DISTINCT FROM sum(l.unit_price * l.quantity)
    """,
    "Orders are whole: no orphans": """
        SELECT order_id::text, 'has lines but is no order' FROM orders_orderline c
        WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = c.order_id)
        UNION ALL SELECT order_id::text, 'has events but is no order' FROM orders_orderevent c
        WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = c.order_id)
        UNION ALL SELECT order_id::text, 'has a journey but is no order' FROM orders_journey c
        WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = c.order_id)
        UNION ALL SELECT order_id::text, 'has transactions but is no order' FROM payments_transaction c
        WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = c.order_id)
        UNION ALL SELECT order_id::text, 'has reservations but is no order' FROM inventory_reservation c
        WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = c.order_id)
    """,
    "Orders are whole: each credit is an order's": """
        SELECT order_id::text, format('has credit %s but is no order', number) FROM orders_credit c
        WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = c.order_id)
    """,
    "Orders are whole: none is archived and here at once": """
        SELECT o.id::text, 'is in the archive, too' FROM orders_archivedorder a JOIN orders_order o ON o.id = a.id
    """,
    "Stock: no product is promised twice": """
        SELECT 'product ' || product_id, format('%s on hand, %s reserved', on_hand, reserved)
        FROM inventory_stockitem WHERE NOT (on_hand >= reserved AND reserved >= 0)
    """,
    "Stock: reserved is the sum of the reservations": """
        SELECT 'product ' || s.product_id, format('%s reserved, reservations for %s', s.reserved, coalesce(r.units, 0))
        FROM inventory_stockitem s
        LEFT JOIN (SELECT product_id, sum(quantity) AS units FROM inventory_reservation GROUP BY 1) r
            ON r.product_id = s.product_id
        WHERE s.reserved <> coalesce(r.units, 0)
    """,
    "Stock: sold is what the completed orders took": """
        SELECT 'product ' || s.product_id, format('%s sold, completed orders took %s', s.sold,
               coalesce(c.units, 0) + coalesce(a.quantity, 0))
        FROM inventory_stockitem s
        LEFT JOIN (SELECT l.product_id, sum(l.quantity - coalesce(r.units, 0)) AS units FROM {ordered} l
                   JOIN orders_journey j ON j.order_id = l.order_id
                   LEFT JOIN {restocked} r ON r.order_id = l.order_id AND r.product_id = l.product_id
                   WHERE j.stock = 'sold' GROUP BY 1) c
            ON c.product_id = s.product_id
        LEFT JOIN orders_archivedunits a ON a.product_id = s.product_id
        WHERE s.sold <> coalesce(c.units, 0) + coalesce(a.quantity, 0)
    """,
    "Stock: an order holds exactly its lines, or nothing": """
        SELECT l.order_id::text, format('product %s: wants %s, holds %s', l.product_id,
               l.quantity - coalesce(b.units, 0), r.quantity)
        FROM {ordered} l JOIN orders_journey j ON j.order_id = l.order_id
        LEFT JOIN {restocked} b ON b.order_id = l.order_id AND b.product_id = l.product_id
        LEFT JOIN inventory_reservation r ON r.order_id = l.order_id AND r.product_id = l.product_id
        WHERE r.quantity IS DISTINCT FROM
              CASE WHEN j.stock = 'reserved' THEN nullif(l.quantity - coalesce(b.units, 0), 0) END
    """,
    "Stock: units are held for what was ordered, of what there is": """
        SELECT r.order_id::text, format('holds %s of product %s, which %s', r.quantity, r.product_id,
               CASE WHEN s.product_id IS NULL THEN 'has no stock' ELSE 'it did not ask for' END)
        FROM inventory_reservation r
        LEFT JOIN orders_orderline l ON l.order_id = r.order_id AND l.product_id = r.product_id
        LEFT JOIN inventory_stockitem s ON s.product_id = r.product_id
        WHERE l.order_id IS NULL OR s.product_id IS NULL
    """,
    "Legs: only an order that is being processed waits for one": leg_checks.queues(),
    "Legs: a confirmed order has them all, one that ended otherwise holds nothing": leg_checks.ends(),
    **total_checks.CHECKS,
    **money_checks.CHECKS,
    "Journal: per order gapless, and as long as the journey says": """
        SELECT j.order_id::text, format('sequence %s, events %s, from %s to %s', j.sequence, e.count, e.first, e.last)
        FROM orders_journey j
        LEFT JOIN (SELECT order_id, count(*), min(sequence) AS first, max(sequence) AS last
                   FROM orders_orderevent GROUP BY 1) e ON e.order_id = j.order_id
        WHERE (1, j.sequence, j.sequence) IS DISTINCT FROM (e.first, e.count::int, e.last)
    """,
    "Journal: it begins with the order's placing, and with nothing else": """
        SELECT order_id::text, format('event %s: %s', sequence, type) FROM orders_orderevent
        WHERE (sequence = 1) <> (type = 'order_placed')
    """,
    "Journal: what came of each leg is an event": leg_checks.events(),
    "Journal: each change of state is an event, each event a legal move": """
        WITH moves AS (
            SELECT e.order_id, e.sequence, s.status,
                   lag(s.status) OVER (PARTITION BY e.order_id ORDER BY e.sequence) AS before,
                   lead(s.status) OVER (PARTITION BY e.order_id ORDER BY e.sequence) AS after
            FROM orders_orderevent e JOIN unnest(%(types)s::text[], %(statuses)s::text[]) AS s(type, status)
                ON s.type = e.type
        )
        SELECT order_id::text, format('event %%s: from %%s to %%s', sequence, coalesce(before, 'nothing'), status)
        FROM moves WHERE (before IS NULL AND status <> 'pending')
            OR (before IS NOT NULL AND NOT EXISTS (
                SELECT FROM unnest(%(sources)s::text[], %(targets)s::text[]) AS legal(source, target)
                WHERE source = before AND target = moves.status))
        UNION ALL
        SELECT j.order_id::text, format('is %%s, its journal says %%s', j.status, m.status)
        FROM moves m JOIN orders_journey j ON j.order_id = m.order_id
        WHERE m.after IS NULL AND m.status <> j.status AND NOT {newer}
    """.replace("{newer}", leg_checks.HAS_NEWER_EVENTS),
    "Repeats: each key leads to an order of its owner, and no two to the same": """
        SELECT coalesce(k.answer->>'orderId', ''), format('key %s of user %s leads to %s', k.key, k.owner_id,
               CASE WHEN found.owner_id IS NULL THEN 'no order' WHEN found.owner_id <> k.owner_id
               THEN 'an order of another' ELSE 'the same order as another key' END)
        FROM (SELECT *, count(*) OVER (PARTITION BY answer->>'orderId') AS keys FROM orders_idempotencykey
              WHERE answer ? 'orderId') k
        LEFT JOIN orders_order o ON o.id = (k.answer->'orderId')::bigint
        LEFT JOIN orders_archivedorder a ON a.id = (k.answer->'orderId')::bigint
        CROSS JOIN LATERAL (SELECT coalesce(o.owner_id, a.owner_id) AS owner_id) found
        WHERE found.owner_id IS DISTINCT FROM k.owner_id OR k.keys > 1
    """,
}

# Units that credits put back to stock.
RESTOCKED = """(
    SELECT c.order_id, (line->>0)::bigint AS product_id, sum((line->>1)::int)::int AS units
    FROM orders_credit c CROSS JOIN LATERAL jsonb_array_elements(c.lines) line WHERE c.restock GROUP BY 1, 2)"""
# Units ordered of each product: an order may have several lines of one.
ORDERED = "(SELECT order_id, product_id, sum(quantity) AS quantity FROM orders_orderline GROUP BY 1, 2)"
CHECKS = {
    name: statement.replace("{restocked}", RESTOCKED).replace("{ordered}", ORDERED)
    for name, statement in CHECKS.items()
}

OPEN_LEDGER = """
    DROP TABLE IF EXISTS pg_temp.provider_ledger, pg_temp.provider_ledger_read;
    CREATE TEMPORARY TABLE provider_ledger (
        reference uuid, captured numeric, refunded numeric, held numeric, captures bigint, flaw text);
    CREATE TEMPORARY TABLE provider_ledger_read AS
        SELECT clock_timestamp() AS read_at, %s::timestamptz AS since
"""
CLOSE_LEDGER = "DROP TABLE IF EXISTS pg_temp.provider_ledger, pg_temp.provider_ledger_read"


def run(*, with_ledger: bool = True, since: datetime | None = None) -> Report:
    """Check everything in one snapshot of the database, and compare it with the providers' ledgers.

    `since`: read only what their ledgers have of operations since then.
    """
    report = Report()
    with deadline.lifted(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT count(*) FROM orders_order")
        report.orders = cursor.fetchone()[0]
        for name, statement in CHECKS.items():
            _check(report, name, statement)
        _check(report, fold.NAME, fold.statement())
        report.checks = len(CHECKS) + 1
    if with_ledger:
        _compare_ledger(report, since)
    return report


def take_turn() -> str:
    """Audit and escalate the violations, by the whole ledger once a day. Return a one-line summary."""
    now = database_now()
    whole: list[Report] = []
    once_per_slot(name=WHOLE, interval=DAY.total_seconds(), work=lambda: _audit_all(whole), now=now)
    report = whole[0] if whole else run(since=now - DAY)
    if whole and report.ledger_skipped:
        ScheduledRun.objects.filter(name=WHOLE, started_at=now).delete()  # the next turn reads it
    escalate_violations(report)
    return report.summary


def _audit_all(done: list[Report]) -> str:
    done.append(run())
    return done[0].summary


def escalate_violations(report: Report) -> None:
    """Escalate the orders of violations, each once; the log has all violations."""
    for violation in report.violations:
        logger.error("The audit found a broken promise: %s", violation)
        if violation.subject.isdigit():
            try:
                _call_for(int(violation.subject), violation)
            except IntegrityError:  # the journal itself is broken
                logger.exception("Order %s could not be put before a person", violation.subject)


def _call_for(order_id: int, violation: Violation) -> None:
    with transaction.atomic():
        journeys = Journey.objects.lock([order_id])
        for journey in journeys:
            journey.audit_failed(violation.check, details=violation.details)
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)


def _check(report: Report, name: str, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} LIMIT {NAMED}", LEGAL if "s::text[]" in statement else None)
        report.violations += [Violation(name, subject, details) for subject, details in cursor.fetchall()]


LEGAL = {
    "types": [event.value for event in STATUS_AFTER],
    "statuses": [status.value for status in STATUS_AFTER.values()],
    "sources": [source.value for source, targets in TRANSITIONS.items() for _ in targets],
    "targets": [target.value for targets in TRANSITIONS.values() for target in targets],
    "known": [event.value for event in EventType],
}


def _compare_ledger(report: Report, since: datetime | None) -> None:
    """Compare orders at rest with the ledgers of the gateways in use."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN_LEDGER, [since or "-infinity"])
        try:
            lines = chain.from_iterable(gateway(name).ledger(since) for name in names_in_use())
            while page := list(islice(lines, 5000)):
                report.foreign_lines += _load(page)
            cursor.execute("ANALYZE provider_ledger")
            cursor.execute(money_checks.LET_FOREIGN_GO)
            report.foreign_lines += cursor.rowcount
            _check(
                report,
                "Money: the provider's ledger says of each order what it owes",
                money_checks.LEDGER_CHECK,
            )
            report.checks += 1
        except ProviderUnavailable as unavailable:
            report.ledger_skipped = str(unavailable)
        finally:
            cursor.execute(CLOSE_LEDGER)


def _load(lines: list[LedgerLine]) -> int:
    """Store the lines that may be ours. Return how many are foreign: their reference is no UUID of ours."""
    ours = [line for line in lines if UUID.fullmatch(line.reference)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO provider_ledger SELECT * FROM unnest(%s::uuid[], %s::numeric[], %s::numeric[],"
            " %s::numeric[], %s::bigint[], %s::text[])",
            [
                [line.reference for line in ours],
                [line.captured for line in ours],
                [line.refunded for line in ours],
                [line.authorized - line.captured - line.voided for line in ours],
                [line.captures for line in ours],
                [line.flaw for line in ours],
            ],
        )
    return len(lines) - len(ours)
