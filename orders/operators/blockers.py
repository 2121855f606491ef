"""External blockers: broker, dispatchers, workers, providers of legs."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings

from orders.legs import WAITS, waits_for_provider
from orders.waits.leg_breakers import breaker_state
from providers.breaker import BreakerState
from runtime import heartbeats


class Kind(StrEnum):
    """The kind of a blocker."""

    BROKER = "broker"
    DISPATCHER = "dispatcher"
    WORKER = "worker"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Blocker:
    """What orders wait for, why, and the remedy."""

    kind: Kind
    waiting_for: str
    why: str
    next_action: str
    provider: str = ""


def around(*, queues: Collection[str], is_to_be_claimed: bool, providers: Collection[str]) -> list[Blocker]:
    """Return what blocks an order on these queues, first blocker first."""
    found = _in_the_pipeline(queues, is_to_be_claimed=is_to_be_claimed)
    states = [(provider, breaker_state(provider)) for provider in providers]
    away = [(provider, state) for provider, state in states if state.state in ("open", "half_open")]
    return [*found, *(_provider(provider, state) for provider, state in away)]


def _in_the_pipeline(queues: Collection[str], *, is_to_be_claimed: bool) -> list[Blocker]:
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


NO_ATTEMPT = "This does not count as an attempt."
BROKER = Blocker(
    Kind.BROKER,
    "the broker",
    "The broker (Valkey) cannot be reached, so nothing can be sent to the workers.",
    "Check Valkey. The order is safe in the database and continues automatically once Valkey is back.",
)
DISPATCHER = Blocker(
    Kind.DISPATCHER,
    "a dispatcher",
    "No dispatcher is running, so due orders are not claimed.",
    "Start a dispatcher. The order then continues automatically.",
)


def _workers(queues: list[str]) -> Blocker:
    named = f"the queue{'s' if len(queues) > 1 else ''} {' and '.join(queues)}"
    return Blocker(
        Kind.WORKER,
        f"a worker for {named}",
        f"No worker reads {named}.",
        f"Start a worker for {named}. The order then continues automatically. {NO_ATTEMPT}",
    )


def _provider(provider: str, state: BreakerState) -> Blocker:
    name = WAITS[waits_for_provider(provider)[0]].words
    return Blocker(
        Kind.PROVIDER,
        name,
        f"{name[0].upper()}{name[1:]} cannot be reached. {breaker_text(state)}.",
        f"No action needed: it continues automatically once the provider responds. {NO_ATTEMPT}",
        provider=provider,
    )


def breaker_text(state: BreakerState) -> str:
    match state.state:
        case "open":
            when = f" until {state.retry_at:%H:%M:%S} UTC" if state.retry_at else ""
            failed = f": {state.failures} of {state.calls} calls failed" if state.calls else ""
            return f"Its circuit breaker is open{when}{failed}"
        case "half_open":
            return "Its circuit breaker is trying one call"
        case "closed":
            return "Its circuit breaker is closed again"
    return "The state of its circuit breaker is unknown"
