"""The payment leg over the network: no batch waits for calls.

Leases are renewed while calls are under way, so orders of a killed process are soon due again.
"""

import logging
import threading
import time
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

import faults
from orders import batches, queries, wakeup
from orders.batches import BatchLease, Paused, Progress
from orders.legs import PAYMENT
from orders.models import Journey
from orders.payment import answers
from orders.payment.answers import Answered
from orders.workflow import JourneyState
from payments import ledger, talking
from payments.calls import Prepared
from payments.gateways import gateway
from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from providers import late
from providers.collector import Collector, by_halves
from providers.loop import Turn, exists, loop
from runtime.per_process import per_process

logger = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3
# A batch waits for room so long before it lets others pass.
TURN_SECONDS = 0.1
# It gives up after this part of its lease: the next step needs the rest.
LEASE_PART = 0.5
# Others look up the rest.
DRAIN_SECONDS = 8.0

# --- The steps --------------------------------------------------------------------------------------------


def authorize(batch: BatchLease) -> bool:
    """Hand over a batch's authorizations as the loop has room.

    Return whether all orders have left the batch, which ends it. Raises `Paused` when its turn is over: there may be
    room for the calls of others.
    """
    now, before = time.monotonic(), batch.progress or Progress()
    since = before.since or time.time()
    until = pause_at = now + settings.STRAGGLER_PATIENCE_SECONDS
    if batch.progress:
        until = now + settings.LEASE_SECONDS * LEASE_PART - (time.time() - since)
        pause_at = min(until, now + TURN_SECONDS)
    waiting, gone = list(batch.order_ids[before.orders :]), before.gone
    while waiting:
        some = room(len(waiting), pause_at, is_bulk=batch.is_bulk)
        if some or pause_at == until:
            part, waiting = waiting[: some or None], waiting[some:] if some else []
            gone += _hand_over(batch, part, gone, is_crowded=not some, is_last=not waiting)
        now = time.monotonic()
        if waiting and pause_at < until and (not some or now >= pause_at):
            taken = len(batch.order_ids) - len(waiting)
            raise Paused(Progress(taken, gone, since))
    return batch.is_whole and gone == len(batch.order_ids)


def _hand_over(
    batch: BatchLease, order_ids: Sequence[int], gone: int, *, is_crowded: bool, is_last: bool
) -> int:
    """Submit or defer a part's calls; return how many left the batch."""
    calls: list[Prepared] = []
    with transaction.atomic():
        journeys = Journey.objects.lock_batch(order_ids, batch_id=batch.batch_id)
        chargeable = [journey for journey in journeys if journey.may_be_tried(PAYMENT)]
        if is_crowded:
            for journey in chargeable:
                _defer_without_room(journey)
        else:
            calls = _prepare(chargeable)
        Journey.objects.save_all(journey for journey in chargeable if journey.has_changed)
        left = sum(journey.batch_id is None for journey in chargeable)
        if is_last:
            batches.finish_run(batch)
            if batch.is_whole and gone + left == len(batch.order_ids):
                batches.finish(batch.batch_id)
                wakeup.wake_dispatcher()
        faults.point("authorize_payment.before_commit")
    submit(calls, is_bulk=batch.is_bulk)
    return left


def _defer_without_room(journey: JourneyState) -> None:
    """Reschedule an order, unless other legs of its batch are under way: then it is due once that settles."""
    journey.no_capacity()
    if journey.is_last(PAYMENT):
        journey.reschedule_in(pause_when_crowded())


def _prepare(journeys: Sequence[JourneyState]) -> list[Prepared]:
    prepared = ledger.prepare(Kind.AUTHORIZE, queries.charges([journey.order_id for journey in journeys]))
    faults.point("authorize_payment.before_intent_commit")
    decided = {one.request.order_id: one.outcome for one in prepared if one.outcome}
    authorized = []
    for journey in journeys:
        if outcome := decided.get(journey.order_id):
            answers.apply(Kind.AUTHORIZE, journey, outcome)
            authorized += [journey] if journey.may_be_captured else []
        elif journey.is_last(PAYMENT):
            journey.reschedule_in(answers.call_lease())
    return [one for one in prepared if one.outcome is None] + answers.capture(authorized)


def capture(batch: BatchLease, journeys: Sequence[JourneyState]) -> list[Prepared]:
    """Continue with the orders that the batch still owns; return the captures to submit once committed."""
    captures = answers.capture([journey for journey in journeys if journey.may_be_captured])
    for journey in journeys:
        if journey.batch_id != batch.batch_id:
            continue
        if journey.may_be_tried(PAYMENT) and journey.is_last(PAYMENT) and not journey.found_no_capacity:
            journey.reschedule_in(answers.call_lease())  # its call is under way: the answer continues it
        else:
            journey.settle()
    Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
    return captures


# --- This process's calls ---------------------------------------------------------------------------------


def room(wanted: int, until: float, *, is_bulk: bool) -> int:
    """Return the loop's free places; 0 if none until that monotonic time."""
    return loop().room(gateway().provider, wanted=wanted, until=until, turn=_turn_of(is_bulk=is_bulk))


def pause_when_crowded() -> float:
    """Return the delay of orders without room, in seconds: about a call's duration."""
    return min(settings.STRAGGLER_PATIENCE_SECONDS, loop().usual_seconds(gateway().provider))


def submit(calls: Sequence[Prepared], *, is_bulk: bool = False) -> None:
    """Submit calls. No transaction may be open."""
    if calls:
        _calls().submit(calls, turn=_turn_of(is_bulk=is_bulk))


def drain(*, seconds: float) -> bool:
    """Wait until all calls are recorded; False on timeout."""
    return not exists() or _calls().drain(seconds=seconds)


def finish() -> None:
    """Drain, make unanswered orders due for other processes, and record late answers that are here."""
    until = time.monotonic() + DRAIN_SECONDS
    if not drain(seconds=DRAIN_SECONDS):
        _calls().reschedule_unanswered()
    late.wait_until_reported(seconds=max(1.0, until - time.monotonic()))


class HandedOverCalls:
    def __init__(self) -> None:
        self._under_way: dict[tuple[int, Kind], float] = {}  # last renewal of the lease
        self._lock = threading.Lock()
        self._next_renewal = 0.0
        self._collector: Collector[Answered] = Collector(
            self._collect,
            name="answers",
            routine=self._renew,
        )

    def submit(self, calls: Sequence[Prepared], *, turn: Turn = Turn.FIRST) -> None:
        now = time.monotonic()
        with self._lock:
            was_idle = not self._under_way
            self._under_way.update({(call.request.order_id, call.kind): now for call in calls})
        if was_idle:
            self._collector.wake()
        groups: dict[tuple[str, Turn], list[Prepared]] = {}
        for call in calls:
            # Captures go first: an order is done when it is captured.
            is_first = call.kind is Kind.CAPTURE or call.provider_id
            groups.setdefault((call.gateway, Turn.FIRST if is_first else turn), []).append(call)
        for (name, own_turn), group in groups.items():
            talking.start(name, ledger.asking, group, done=self._answered, turn=own_turn)

    def drain(self, *, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._under_way:
            left = until - time.monotonic()
            if left <= 0:
                return False
            loop().drain(seconds=left)
            self._collector.wait_until_idle(seconds=left)
        return True

    def reschedule_unanswered(self) -> None:
        with self._lock:
            order_ids = sorted({order_id for order_id, _ in self._under_way})
        logger.warning("%d calls have no answer as the process ends: others look them up", len(order_ids))
        Journey.objects.release_calls(order_ids)

    def _answered(self, call: Prepared, outcome: Outcome | Exception) -> None:
        self._collector.add(Answered(call, outcome))

    def _collect(self, answered: Sequence[Answered]) -> None:
        begun: list[tuple[Prepared, Outcome]] = []
        decided: list[Answered] = []
        for answer in answered:
            # The provider knows the call by an id, which has to be recorded before it is sent again.
            if isinstance(answer.outcome, Outcome) and answer.outcome.kind == "begun":
                begun.append((answer.prepared, answer.outcome))
            else:
                decided.append(answer)
        for captures in by_halves(answers.take, decided, alone=answers.escalate):
            self.submit(captures)
        continued = ledger.begin(begun) if begun else []
        with self._lock:
            for answer in answered:
                self._under_way.pop((answer.prepared.request.order_id, answer.prepared.kind), None)
        self.submit(continued)
        wakeup.announce_events()

    def _renew(self) -> float | None:
        """Renew leases; return the seconds until the next renewal."""
        if not self._under_way:
            return None
        now, lease = time.monotonic(), answers.call_lease()
        if now >= self._next_renewal:
            self._next_renewal = now + lease / RENEWALS_PER_LEASE / 2
            self._renew_older(now - lease / RENEWALS_PER_LEASE, now, lease)
        return max(0.01, self._next_renewal - now)

    def _renew_older(self, than: float, now: float, lease: float) -> None:
        with self._lock:
            old = [call for call, at in self._under_way.items() if at < than]
        if old:
            Journey.objects.renew_calls(sorted({order_id for order_id, _ in old}), lease=lease)
            with self._lock:
                self._under_way.update({call: now for call in old if call in self._under_way})


def _turn_of(*, is_bulk: bool) -> Turn:
    return Turn.LAST if is_bulk else Turn.SOON


@per_process
def _calls() -> HandedOverCalls:
    return HandedOverCalls()
