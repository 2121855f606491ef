"""Quarantine: what becomes of orders whose batches lose their worker again and again. Without I/O.

Such an order may be the cause: each loss shrinks its batch, of orders with as many losses, until it is isolated and
then escalated. Its batches record in advance that a step starts: an absence of workers is no order's fault.
"""

from collections.abc import Iterable

from django.conf import settings

from orders.rules.schedule import MAX_COUNTED_ATTEMPTS
from orders.workflow import JourneyState

# Attempts before quarantine; each further one shrinks the batch by this factor.
ATTEMPTS_BEFORE_QUARANTINE, QUARANTINE_SHRINK = 2, 8


def count_loss(journey: JourneyState, *, before: int, was_started: bool) -> None:
    """Count an expired batch, the next after `before` lost ones; not as an attempt unless a step had started."""
    if was_started:
        journey.losses = min(before + 1, MAX_COUNTED_ATTEMPTS)
    else:
        journey.losses, journey.attempts = before, max(0, journey.attempts - 1)


def attempts_of(journey: JourneyState) -> int:
    """Return the suspicious attempts: while it waits for a provider, only those that lost their worker."""
    return journey.losses if journey.waits_for_provider else journey.attempts


def is_admitted(journey: JourneyState) -> bool:
    """Whether the order may be dispatched; after its last attempt it is escalated."""
    attempts = attempts_of(journey)
    if attempts < settings.MAX_ATTEMPTS:
        return True
    if journey.waits_for_provider:
        journey.escalate(f"lost with its worker {attempts} times in a row")
    else:
        journey.escalate(f"claimed {attempts} times without getting anywhere")
    return False


def batch_limit(journey: JourneyState) -> int:
    """Return the size of the largest batch that the order may be in."""
    attempts = attempts_of(journey) + 1
    if attempts >= settings.MAX_ATTEMPTS > 1:
        return 1
    return int(
        max(1, settings.BATCH_SIZE // QUARANTINE_SHRINK ** max(0, attempts - ATTEMPTS_BEFORE_QUARANTINE))
    )


def is_watched(journeys: Iterable[JourneyState]) -> bool:
    """Whether a batch of these orders records in advance that a step starts: one of them lost its last batch."""
    return any(journey.batch_id is not None for journey in journeys)
