"""Wording for operators."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orders.events import EventType
from orders.legs import WAITS
from orders.models import Journey, OrderEvent
from orders.status import NOT_PAID_IN_TIME, Status

# As written by `orders.steps`.
STEP_FAILED = re.compile(r"(?P<step>[a-z]+(?:_[a-z]+)*): (?P<error>\w+\(.*)", re.DOTALL)

HAPPENED: dict[str, str] = {
    EventType.ATTENTION_NEEDED: "Escalated to staff",
    EventType.MONEY_RETURNED: "Payment returned",
}


def waits_for(code: str) -> str:
    return WAITS[code].words if code in WAITS else code


def attention(why: str) -> str:
    if failed := STEP_FAILED.fullmatch(why):
        return f"the step “{failed['step'].replace('_', ' ')}” failed with {failed['error']}"
    code, _, rest = why.partition(" ")
    return f"waited for {waits_for(code)} {rest}" if code in WAITS else why


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an order's timeline."""

    sequence: int
    at: datetime
    seconds: float  # since the order was placed
    title: str
    progress: int
    details: list[tuple[str, str]]
    trouble: str  # a traceback, or empty

    @property
    def moment(self) -> str:
        return self.at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def is_code(*, status: str, outcome: str, reason: str) -> bool:
    """Whether the reason is a code, not typed."""
    return Status.REJECTED in (status, outcome) or reason == NOT_PAID_IN_TIME


def reason_in_words(journey: Journey) -> str:
    typed = not is_code(status=journey.status, outcome=journey.outcome, reason=journey.reason)
    return journey.reason if typed else journey.reason.replace("_", " ")


def timeline(events: Sequence[OrderEvent]) -> list[Entry]:
    start = events[0].at if events else None
    return [_entry(event, (event.at - start).total_seconds() if start else 0.0) for event in events]


def _entry(event: OrderEvent, seconds: float) -> Entry:
    data = dict(event.data)
    trouble = str(data.pop("details", "") or "")
    data.pop("trace", None)  # shown as a link instead
    if "waiting_for" in data:
        data["waiting_for"] = waits_for(data["waiting_for"])
    if "why" in data:
        data["why"] = attention(str(data["why"]))
    details = [(name.replace("_", " "), _shown(value)) for name, value in data.items() if _shown(value)]
    return Entry(event.sequence, event.at, seconds, title(event.type), event.progress, details, trouble)


def title(event_type: str) -> str:
    return HAPPENED.get(event_type) or event_type.replace("_", " ").capitalize()


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{name} {_shown(item)}" for name, item in value.items())
    return "" if value in (None, False) else "yes" if value is True else str(value)
