"""What stands in the way of orders outside of them: the broker, dispatchers, workers, the payment provider."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings

from providers.breaker import BreakerState, breaker
from runtime import heartbeats


class Kind(StrEnum):
    """What is in the way."""

    BROKER = "broker"
    DISPATCHER = "dispatcher"
    WORKER = "worker"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something in the way: what an order waits for because of it, why, and what to do about it."""

    kind: Kind
    waiting_for: str
    why: str
    next_action: str


def around(*, queues: Collection[str], is_to_be_claimed: bool, needs_provider: bool) -> list[Blocker]:
    """Return what is in the way of an order that still has to go through these queues, the first thing first."""
    found = _on_the_way(queues, is_to_be_claimed=is_to_be_claimed)
    state = breaker("payments").state()
    return [*found, _provider(state)] if needs_provider and state.state in ("open", "half_open") else found


def _on_the_way(queues: Collection[str], *, is_to_be_claimed: bool) -> list[Blocker]:
    try:
        alive = [presence for presence in heartbeats.present() if presence.is_alive]
    except heartbeats.Unreachable:
        return [BROKER]
    found = []
    if is_to_be_claimed and not any(presence.name == "dispatcher" for presence in alive):
        found.append(DISPATCHER)
    read = {queue for presence in alive for queue in presence.facts.get("queues", ())}
    if unread := [queue for queue in settings.QUEUES if queue in queues and queue not in read]:
        found.append(_workers(unread))
    return found


BROKER = Blocker(
    Kind.BROKER,
    "the broker",
    "The broker (Valkey) cannot be reached, so nothing can be sent to the workers.",
    "See to Valkey. The order is safe in the database, and goes on by itself when Valkey is back.",
)
DISPATCHER = Blocker(
    Kind.DISPATCHER,
    "a dispatcher",
    "No dispatcher is running, so nothing that is due is taken up.",
    "Start a dispatcher. The order then goes on by itself.",
)


def _workers(queues: list[str]) -> Blocker:
    named = f"the queue{'s' if len(queues) > 1 else ''} {' and '.join(queues)}"
    return Blocker(
        Kind.WORKER,
        f"a worker for {named}",
        f"No worker reads {named}.",
        f"Start a worker for {named}. The order then goes on by itself; this uses up none of its tries.",
    )


def _provider(state: BreakerState) -> Blocker:
    return Blocker(
        Kind.PROVIDER,
        "the payment provider",
        f"The payment provider cannot be reached. {told(state)}.",
        "Nothing to do: it goes on by itself when the provider answers again, and uses up no attempt.",
    )


def told(state: BreakerState) -> str:
    """Return what a breaker does, in words."""
    match state.state:
        case "open":
            when = f" until {state.retry_at:%H:%M:%S} UTC" if state.retry_at else ""
            failed = f": {state.failures} of {state.calls} calls failed" if state.calls else ""
            return f"Its breaker is open{when}{failed}"
        case "half_open":
            return "Its breaker is trying one call"
        case "closed":
            return "Its breaker is closed again"
    return "The state of its breaker is not known"
