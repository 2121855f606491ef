"""Batches: due orders leave together, on one Celery canvas, as in a group commit.

Nobody waits for a batch to fill. What makes batches is the limit on how many are under way: what arrives
meanwhile leaves together with the next one.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from celery import Signature, chain, chord, current_task, signature
from django.conf import settings
from django.db import transaction

import faults
from database.arrays import numbers
from database.prepared import execute
from orders import journal
from orders.workflow import JourneyState, Status

# What dispatchers hold in turn while they claim; any number that nothing else locks.
CLAIMING = 7_241_001

# A batch that meets no obstacle arrives within so long, and what is due when it does leaves at once and together.
# Side by side they would only take the processors from each other. One that takes longer waits for a provider,
# and nobody waits for it.
FRESH_SECONDS = 0.1


# So many tries leave an order beyond suspicion; with each that follows its batch is so many times smaller, and on
# its last try it travels alone.
ATTEMPTS_BEFORE_QUARANTINE, QUARANTINE_SHRINK = 2, 8


class Route(StrEnum):
    """Which way a batch travels."""

    FORWARD = "forward"  # reserve, quote, authorize, capture
    BACK = "back"  # give stock and money back
    HANDOVER = "handover"  # complete what was confirmed


@dataclass(frozen=True, slots=True)
class Claimed:
    """Orders that were claimed together and now travel together."""

    batch_id: int
    route: Route
    order_ids: list[int]


class BatchLease(NamedTuple):
    """A batch, or a part of one, that a step works on."""

    batch_id: int
    order_ids: Sequence[int]
    step: str
    began_at: str  # by the database's clock, in its words
    run_id: int | None = None  # of the run, if that was noted beforehand
    is_whole: bool = True
    is_last: bool = True  # of the parts, if it is one

    def halves(self) -> tuple["BatchLease", "BatchLease"]:
        """Return two parts of it."""
        middle = len(self.order_ids) // 2
        part = self._replace(is_whole=False)
        return (
            part._replace(order_ids=self.order_ids[:middle], is_last=False),
            part._replace(order_ids=self.order_ids[middle:]),
        )


class UnderWay(NamedTuple):
    """What is travelling: batches, the orders in them, and batches that have left just now."""

    batches: int
    orders: int
    fresh: int


def claim() -> list[Claimed]:
    """Claim as many due orders as may travel now, and make a batch of those that go the same way.

    While a batch has left just now only a full one follows it.

    A claimed order is due again after the lease, whatever becomes of its batch: a lost worker, a lost
    message and a lost claim all end there.
    """
    with transaction.atomic():
        before_us = under_way()
        room = min(settings.BATCH_SIZE, settings.MAX_CONCURRENT_ORDERS - before_us.orders)
        if before_us.batches >= settings.MAX_CONCURRENT_BATCHES or room <= 0:
            return []
        if before_us.fresh and not journal.are_due(room):
            return []
        due = journal.lock_due(room)
        _count_crashes(due)
        groups = _group_by_route_and_risk([journey for journey in due if _may_be_dispatched(journey)])
        may_leave = settings.MAX_CONCURRENT_BATCHES - before_us.batches
        claimed = [_form_batch(route, journeys) for route, journeys in islice(groups, may_leave)]
        # Those that found no batch stay as they are, and due.
        changed = [journey for journey in due if journey.has_changed]
        journal.save(sorted(changed, key=lambda journey: journey.order_id))
        faults.point("claim.before_commit")
    faults.point("claim.after_commit")
    return claimed


def under_way() -> UnderWay:
    """Return how many batches are travelling, and how many orders with them. A lost batch counts for one lease.

    In a cluster those of this node: each node has its own broker and workers. Until the transaction ends no other
    dispatcher of the node counts: two that saw the same room would both fill it.
    """
    execute("SELECT pg_advisory_xact_lock(%s::int, hashtext(%s))", [CLAIMING, settings.BATCH_NODE])
    ((batches, orders, fresh),) = execute(
        "SELECT count(*), coalesce(sum(size), 0)::int,"
        " count(*) FILTER (WHERE started_at > clock_timestamp() - %s::float8 * interval '1 second')"
        " FROM orders_batch WHERE finished_at IS NULL AND started_at > now() - %s::float8 * interval '1 second'"
        # A batch that starts in the future was lost, and the clock put right since.
        " AND started_at < now() + %s::float8 * interval '1 second' AND node = %s",
        [FRESH_SECONDS, settings.LEASE_SECONDS, settings.LEASE_SECONDS, settings.BATCH_NODE],
    )
    return UnderWay(batches, orders, fresh)


def finish(batch_id: int) -> None:
    """Note that a batch has arrived, which makes room for the next."""
    execute(
        "UPDATE orders_batch SET finished_at = clock_timestamp() WHERE id = %s AND finished_at IS NULL",
        [batch_id],
    )


BATCH = "SELECT order_ids, is_watched, clock_timestamp()::text FROM orders_batch WHERE id = %s AND finished_at IS NULL"
BEGIN_RUN = "INSERT INTO orders_steprun (batch_id, step, task, worker) VALUES (%s, %s, %s, %s) RETURNING id"
END_RUN = "UPDATE orders_steprun SET ended_at = clock_timestamp() WHERE id = %s"
NOTE_RUN = """
    INSERT INTO orders_steprun (batch_id, step, task, worker, began_at, ended_at)
    VALUES (%s, %s, %s, %s, %s::timestamptz, clock_timestamp())
"""


def acquire_batch(batch_id: int, *, step: str) -> BatchLease | None:
    """Return a batch that a step is to work on; None if it has arrived, or is forgotten by now.

    If it is watched, note that the step begins, committed at once: the end of its worker leaves a trace.
    """
    found = execute(BATCH, [batch_id])
    if not found:
        return None
    ((order_ids, is_watched, now),) = found
    lease = BatchLease(batch_id, order_ids, step, now)
    return lease._replace(run_id=_begin_run(lease)) if is_watched else lease


def _begin_run(lease: BatchLease) -> int:
    ((run_id,),) = execute(BEGIN_RUN, _about(lease))
    return int(run_id)


def _about(lease: BatchLease) -> tuple[int, str, str, str]:
    task = current_task.request if current_task else None
    task_id, worker = (task.id, task.hostname) if task else ("", "")
    return lease.batch_id, lease.step, str(task_id), str(worker)


def finish_run(lease: BatchLease) -> None:
    """Note that a step has ended: with what it did, as far as that succeeds. Of a part of a batch nothing is noted."""
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
    """A batch that was lost, as its orders were so many times before; in somebody's hands, as far as is known."""

    batch_id: int
    losses: int
    was_started: bool


def reclaim_expired(batch_ids: Collection[int]) -> list[ExpiredBatch]:
    """End batches that were lost, and return what is known of their ends.

    Of a batch that is not watched nothing is known. Its orders travel in one that is from now on.
    """
    return [ExpiredBatch(*found) for found in execute(RECLAIM_EXPIRED, [numbers(batch_ids)])]


def release_claim(claimed: Claimed, *, seconds: float) -> None:
    """Have the orders of a batch whose canvas could not be sent due again in so many seconds.

    They stay with it, lost on the way as it is: the claim that finds them gives their try back.
    """
    with transaction.atomic():
        journeys = journal.lock_batch(claimed.order_ids, batch_id=claimed.batch_id)
        for journey in journeys:
            journey.defer(seconds)
        journal.save(journeys)
        finish(claimed.batch_id)


def send(claimed: Claimed) -> None:
    """Send a batch on its way; raises kombu's OperationalError when the broker cannot be reached."""
    canvas(claimed).apply_async(retry=False)


def canvas(claimed: Claimed) -> Signature:
    """Return the Celery canvas of a batch: which task runs where, beside what and after what.

    Messages carry the batch's number and nothing else, and no result travels from task to task: each reads in
    the database what it is about, and what the others did. There, too, the legs join: the body is for those of the
    batch whose payment leg could not go on by itself, because their stock came last or never.
    """

    def task(name: str) -> Signature:
        return signature(name, kwargs={"batch_id": claimed.batch_id}, immutable=True)

    match claimed.route:
        case Route.FORWARD:
            return chord(
                [
                    # The longer leg first: an order is done when this one is.
                    chain(task("shipping.quote_shipping"), task("payments.authorize_payment")),
                    task("inventory.reserve_stock"),
                ],
                task("payments.capture_payment"),
            )
        case Route.BACK:
            return chord(
                [task("inventory.release_stock"), task("payments.return_money")],
                task("orders.settle"),
            )
        case Route.HANDOVER:
            return task("orders.complete")


def _may_be_dispatched(journey: JourneyState) -> bool:
    """Whether it may; if it was claimed again and again and never got anywhere, it is stopped."""
    if journey.tries < settings.MAX_ATTEMPTS:
        return True
    if journey.waits_for_provider:
        journey.escalate(f"lost with its worker {journey.tries} times in a row")
    else:
        journey.escalate(f"claimed {journey.tries} times without getting anywhere")
    return False


def _count_crashes(due: Sequence[JourneyState]) -> None:
    """Say on orders whose batch was lost what that means for them.

    They get their try back if it was not lost in somebody's hands, as far as is known: without workers nobody's orders
    get anywhere, and to have been in a lost batch once proves nothing.
    """
    left_behind = {journey.batch_id for journey in due if journey.batch_id is not None}
    lost = {batch.batch_id: batch for batch in reclaim_expired(left_behind)} if left_behind else {}
    for journey in due:
        if journey.batch_id in lost:
            batch = lost[journey.batch_id]
            journey.batch_expired(before=batch.losses, was_started=batch.was_started)


def _group_by_route_and_risk(
    journeys: Sequence[JourneyState],
) -> Iterator[tuple[Route, Sequence[JourneyState]]]:
    """Yield those that travel together: they go the same way, and none is more suspect than the others."""
    alike: dict[tuple[Route, int, int], list[JourneyState]] = {}
    for journey in journeys:
        alike.setdefault((_route(journey), _batch_limit(journey), journey.losses), []).append(journey)
    for (route, most, _), together in alike.items():
        for start in range(0, len(together), most):
            yield route, together[start : start + most]


def _batch_limit(journey: JourneyState) -> int:
    """Return how many may travel with an order: the fewer, the more of its workers did not live to tell.

    One of a lost batch may be what costs its worker its life. It is to take few with it the next time, so that the
    others get through before their tries are used up.
    """
    tries = journey.tries + 1
    if tries >= settings.MAX_ATTEMPTS > 1:
        return 1
    return int(max(1, settings.BATCH_SIZE // QUARANTINE_SHRINK ** max(0, tries - ATTEMPTS_BEFORE_QUARANTINE)))


def _route(journey: JourneyState) -> Route:
    if journey.is_cancelling:
        return Route.BACK
    return Route.HANDOVER if journey.status is Status.CONFIRMED else Route.FORWARD


def _form_batch(route: Route, journeys: Sequence[JourneyState]) -> Claimed:
    order_ids = sorted(journey.order_id for journey in journeys)
    was_lost = any(journey.batch_id is not None for journey in journeys)
    batch_id = _new_batch(order_ids, is_watched=was_lost, losses=journeys[0].losses)
    for journey in journeys:
        journey.claimed(lease=settings.LEASE_SECONDS)
        journey.batch_id = batch_id
    return Claimed(batch_id, route, order_ids)


def _new_batch(order_ids: Sequence[int], *, is_watched: bool, losses: int) -> int:
    ((batch_id,),) = execute(
        "INSERT INTO orders_batch (size, order_ids, is_watched, losses, node)"
        " VALUES (%s, %s::bigint[], %s, %s, %s) RETURNING id",
        [len(order_ids), numbers(order_ids), is_watched, losses, settings.BATCH_NODE],
    )
    return int(batch_id)
