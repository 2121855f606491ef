"""Batches: due orders leave together on one Celery canvas, as in a group commit.

No order waits for a batch to fill. The limit on batches in flight makes them: orders that become due
meanwhile leave together next.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import NamedTuple

from celery import Signature, chain, chord, current_task, signature
from django.conf import settings
from django.db import transaction

import faults
from database.arrays import numbers
from database.prepared import execute
from orders import legs, quarantine
from orders.models import Journey
from orders.status import Status
from orders.workflow import JourneyState
from runtime.canvases import Canvases

# Order ids per log line.
MAX_ORDERS_LOGGED = 20

# Advisory lock of dispatchers' claims.
CLAIMING = 7_241_001

# What is due within this time leaves together; concurrent batches would compete for processors.
FRESH_SECONDS = 0.1


class Route(StrEnum):
    FORWARD = "forward"
    BACK = "back"
    HANDOVER = "handover"
    MONEY = "money"  # refunds of confirmed orders


@dataclass(frozen=True, slots=True)
class Claimed:
    batch_id: int
    route: Route
    order_ids: list[int]


class Progress(NamedTuple):
    """How far a step came with a batch before it let others pass."""

    orders: int = 0  # taken care of
    gone: int = 0  # of these, how many have left the batch
    since: float = 0.0  # it began; Unix time


class Paused(Exception):
    """A step lets other batches pass: its message goes to the end of the queue."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.progress = progress


class BatchLease(NamedTuple):
    """A step's lease on a batch or a part of one."""

    batch_id: int
    order_ids: Sequence[int]
    step: str
    began_at: str
    run_id: int | None = None  # if the run was recorded in advance
    is_bulk: bool = False
    is_whole: bool = True
    is_last: bool = True  # last part of a split batch
    progress: Progress | None = None  # None: it may not pause

    def halves(self) -> tuple["BatchLease", "BatchLease"]:
        middle = len(self.order_ids) // 2
        part = self._replace(is_whole=False, progress=None)
        return (
            part._replace(order_ids=self.order_ids[:middle], is_last=False),
            part._replace(order_ids=self.order_ids[middle:]),
        )


class UnderWay(NamedTuple):
    batches: int
    orders: int
    fresh: int
    bulks: int

    @property
    def room(self) -> int:
        """Return how many orders may leave."""
        if self.batches >= settings.MAX_CONCURRENT_BATCHES:
            return 0
        return max(0, min(settings.BATCH_SIZE, settings.MAX_CONCURRENT_ORDERS - self.orders))

    @property
    def is_filled_by_bulks(self) -> bool:
        """Whether only orders placed one by one may leave: one batch of them beside bulks that fill the limit."""
        return not self.room and self.bulks == self.batches


def claim() -> list[Claimed]:
    """Claim due orders up to the limit, and group those that may share a batch.

    Just after a batch was dispatched, only a full one follows. Expiry covers crashed workers, lost messages
    and lost claims.
    """
    with transaction.atomic():
        before_us = under_way()
        only_live = before_us.is_filled_by_bulks
        room = settings.BATCH_SIZE if only_live else before_us.room
        if not room or (before_us.fresh and not Journey.objects.are_due(room)):
            return []
        due = Journey.objects.lock_due(room, only_live=only_live)
        _count_crashes(due)
        groups = _group_alike([journey for journey in due if quarantine.is_admitted(journey)])
        may_leave = max(1, settings.MAX_CONCURRENT_BATCHES - before_us.batches)
        claimed = [_form_batch(route, journeys) for route, journeys in islice(groups, may_leave)]
        changed = [journey for journey in due if journey.has_changed]
        Journey.objects.save_all(sorted(changed, key=lambda journey: journey.order_id))
        faults.point("claim.before_commit")
    faults.point("claim.after_commit")
    return claimed


def under_way() -> UnderWay:
    """Return what is in flight on this node, under the dispatchers' lock: two would both fill the room."""
    execute("SELECT pg_advisory_xact_lock(%s::int, hashtext(%s))", [CLAIMING, settings.BATCH_NODE])
    ((batches, orders, fresh, bulks),) = execute(
        "SELECT count(*), coalesce(sum(size), 0)::int,"
        " count(*) FILTER (WHERE started_at > clock_timestamp() - %s::float8 * interval '1 second'),"
        " count(*) FILTER (WHERE is_bulk)"
        " FROM orders_batch WHERE finished_at IS NULL AND started_at > now() - %s::float8 * interval '1 second'"
        # A start in the future: the clock was corrected since.
        " AND started_at < now() + %s::float8 * interval '1 second' AND node = %s",
        [FRESH_SECONDS, settings.LEASE_SECONDS, settings.LEASE_SECONDS, settings.BATCH_NODE],
    )
    return UnderWay(batches, orders, fresh, bulks)


def finish(batch_id: int) -> None:
    execute(
        "UPDATE orders_batch SET finished_at = clock_timestamp() WHERE id = %s AND finished_at IS NULL",
        [batch_id],
    )


BATCH = """
    SELECT order_ids, is_watched, is_bulk, clock_timestamp()::text FROM orders_batch
    WHERE id = %s AND finished_at IS NULL
"""
BEGIN_RUN = "INSERT INTO orders_steprun (batch_id, step, task, worker) VALUES (%s, %s, %s, %s) RETURNING id"
END_RUN = "UPDATE orders_steprun SET ended_at = clock_timestamp() WHERE id = %s"
NOTE_RUN = """
    INSERT INTO orders_steprun (batch_id, step, task, worker, began_at, ended_at)
    VALUES (%s, %s, %s, %s, %s::timestamptz, clock_timestamp())
"""


def acquire_batch(batch_id: int, *, step: str, progress: Progress | None = None) -> BatchLease | None:
    """Return the lease for a step; None if the batch is finished or deleted.

    For a quarantined batch, commit the start of the run first: a worker crash then leaves a trace. It never pauses.
    """
    found = execute(BATCH, [batch_id])
    if not found:
        return None
    ((order_ids, is_watched, is_bulk, now),) = found
    lease = BatchLease(batch_id, order_ids, step, now, is_bulk=is_bulk)
    return lease._replace(run_id=_begin_run(lease)) if is_watched else lease._replace(progress=progress)


def _begin_run(lease: BatchLease) -> int:
    ((run_id,),) = execute(BEGIN_RUN, _about(lease))
    return int(run_id)


def _about(lease: BatchLease) -> tuple[int, str, str, str]:
    task = current_task.request if current_task else None
    task_id, worker = (task.id, task.hostname) if task else ("", "")
    return lease.batch_id, lease.step, str(task_id), str(worker)


def finish_run(lease: BatchLease) -> None:
    """Record a run's end; runs of parts are not recorded."""
    if not lease.is_whole:
        return
    if lease.run_id is not None:
        execute(END_RUN, [lease.run_id])
    else:
        execute(NOTE_RUN, [*_about(lease), lease.began_at])


RECLAIM_EXPIRED = """
    UPDATE orders_batch SET finished_at = coalesce(finished_at, clock_timestamp()) WHERE id = ANY(%s::bigint[])
    RETURNING id, losses, EXISTS (
        SELECT FROM orders_steprun run WHERE run.batch_id = orders_batch.id AND run.ended_at IS NULL
    )
"""


class ExpiredBatch(NamedTuple):
    batch_id: int
    losses: int
    was_started: bool


def reclaim_expired(batch_ids: Collection[int]) -> list[ExpiredBatch]:
    """Finish expired batches and return what is known of their ends. Without quarantine that is nothing."""
    return [ExpiredBatch(*found) for found in execute(RECLAIM_EXPIRED, [numbers(batch_ids)])]


def release_claim(claimed: Claimed, *, seconds: float) -> None:
    """Make the orders of an unsent batch due after a delay."""
    with transaction.atomic():
        journeys = Journey.objects.lock_batch(claimed.order_ids, batch_id=claimed.batch_id)
        for journey in journeys:
            journey.defer(seconds)
        Journey.objects.save_all(journeys)
        finish(claimed.batch_id)


def log_context(batch_id: object, order_ids: Sequence[int] = ()) -> dict[str, object]:
    orders = list(order_ids)
    some = {"orders": orders[:MAX_ORDERS_LOGGED], "order_count": len(orders)}
    return {"batch_id": batch_id} | (some if orders else {})


CANVASES = Canvases("batch_id")


def send(claimed: Claimed) -> None:
    """Send a batch to its workers; raises kombu's OperationalError without a broker."""
    CANVASES.send(claimed.route, claimed.batch_id, partial(canvas, claimed))


def canvas(claimed: Claimed) -> Signature:
    """Return the Celery canvas of a batch. Messages carry only its id; the fan-in happens in the database."""

    def task(name: str) -> Signature:
        return signature(name, kwargs={"batch_id": claimed.batch_id}, immutable=True)

    match claimed.route:
        case Route.FORWARD:
            paths = [[task(leg.task(leg.step)) for leg in path] for path in legs.paths()]
            return chord(
                # A chain of one task costs the dispatcher twice as much as the task.
                [chain(*path) if len(path) > 1 else path[0] for path in paths],
                task("payments.capture_payment"),
            )
        case Route.BACK:
            return chord(
                [task(leg.task(leg.way_back)) for leg in legs.LEGS if leg.way_back],
                task("orders.settle"),
            )
        case Route.HANDOVER:
            return task("orders.complete")
        case Route.MONEY:
            return task("payments.refund_credits")


def _count_crashes(due: Sequence[JourneyState]) -> None:
    """Count lost batches on their orders."""
    left_behind = {journey.batch_id for journey in due if journey.batch_id is not None}
    lost = {batch.batch_id: batch for batch in reclaim_expired(left_behind)} if left_behind else {}
    for journey in due:
        if journey.batch_id in lost:
            batch = lost[journey.batch_id]
            quarantine.count_loss(journey, before=batch.losses, was_started=batch.was_started)


def _group_alike(
    journeys: Sequence[JourneyState],
) -> Iterator[tuple[Route, Sequence[JourneyState]]]:
    alike: dict[tuple[bool, Route, int, int], list[JourneyState]] = {}
    for journey in journeys:
        key = journey.is_bulk, _route(journey), quarantine.batch_limit(journey), journey.losses
        alike.setdefault(key, []).append(journey)
    # Bulks last: their batches are large, and for some there is no room.
    for (_, route, most, _), together in sorted(alike.items(), key=lambda group: group[0][0]):
        for start in range(0, len(together), most):
            yield route, together[start : start + most]


def _route(journey: JourneyState) -> Route:
    if journey.is_cancelling:
        return Route.BACK
    if journey.status is Status.CONFIRMED and journey.completion_requested:
        return Route.HANDOVER
    return Route.MONEY if journey.moves_money else Route.FORWARD


def _form_batch(route: Route, journeys: Sequence[JourneyState]) -> Claimed:
    order_ids = sorted(journey.order_id for journey in journeys)
    batch_id = _new_batch(
        order_ids,
        is_watched=quarantine.is_watched(journeys),
        is_bulk=journeys[0].is_bulk,
        losses=journeys[0].losses,
    )
    for journey in journeys:
        journey.claimed(lease=settings.LEASE_SECONDS)
        journey.batch_id = batch_id
    return Claimed(batch_id, route, order_ids)


def _new_batch(order_ids: Sequence[int], *, is_watched: bool, is_bulk: bool, losses: int) -> int:
    ((batch_id,),) = execute(
        "INSERT INTO orders_batch (size, order_ids, is_watched, is_bulk, losses, node)"
        " VALUES (%s, %s::bigint[], %s, %s, %s, %s) RETURNING id",
        [len(order_ids), numbers(order_ids), is_watched, is_bulk, losses, settings.BATCH_NODE],
    )
    return int(batch_id)
