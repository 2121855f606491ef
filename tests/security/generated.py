"""Requests that schemathesis makes up from the API's own description, and whether the answers are as described."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema

# What a schema cannot say: rules about the catalogue, the account, other requests, or what a text looks like.
# A request that breaks nothing else may still be refused with one of these codes.
BEYOND_A_SCHEMA = frozenset(
    {
        "address_not_allowed",
        "already_there",
        "authorization",
        "card_number_refused",
        "control_characters",
        "idempotency_key_reused",
        "precondition_failed",
        "too_many_decimals",
        "unknown_gateway",
        "unknown_product",
        "wrong_currency",
        "zero",
    }
)
# ... and these at these addresses: the days between two dates, and a reason for what is not only a preview.
BEYOND_A_SCHEMA_AT = {
    ("invalid_parameter", "/api/analytics"),
    ("invalid_parameter", "/api/analytics.csv"),
    ("required", "/api/orders/stuck/cancel"),
}
# ... and for these reasons: 2.0, which is an integer to a schema, a parameter under its former name as well, NUL,
# fractions of cents, and sums.
REASONS_BEYOND_A_SCHEMA = re.compile(
    r"This must be a whole number( or null)?, not a fraction"
    r"|Give this once, under one of its names"
    r"|Null characters|Ensure that there are no more than 12 digits"
    r"|One order may be worth at most"
)
# ... and two names or two prices of one line: client generators do not take `not` in a schema.
OF_ONE_LINE = re.compile(r"items\[\d+\]\.")
# Django REST framework takes 0 for false, and 5 for the text "5".
READ_LENIENTLY = "/api/inventory"
# A bulk request is answered line by line; a line that is refused does not fail the others.
LINE_BY_LINE = "/api/orders/bulk"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to generate: all kinds of cases, or a few random ones for each operation."""

    seed: int
    examples: int
    phases: tuple[str, ...]


@dataclass
class Found:
    """Outcomes of generated requests."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """How often each status was answered."""
        return " ".join(f"{status}:{times}" for status, times in sorted(self.statuses.items()))

    def add(self, other: "Found") -> None:
        """Add other outcomes."""
        self.requests += other.requests
        self.statuses += other.statuses
        self.failures += other.failures


SELECTION = ("fuzzing",)
EVERYTHING = ("examples", "coverage", "fuzzing", "stateful")


def plans(*, at_least: int, seed: int, so_far: Found) -> Iterator[Plan]:
    """Yield the selection or, with a number of requests given, plans until it is reached."""
    if not at_least:
        yield Plan(seed, examples=2, phases=SELECTION)
    while so_far.requests < at_least and not so_far.failures:
        # Beside those for each operation there are some 1,500 of the other kinds.
        yield Plan(seed, examples=max(5, (at_least - so_far.requests) // 130), phases=EVERYTHING)
        seed += 1


def run(description: dict[str, Any], *, url: str, headers: dict[str, str], plan: Plan) -> Found:
    """Send requests generated from an OpenAPI description, with all checks on, and return the outcomes."""
    config = SchemathesisConfig.from_dict(_config(url, headers, plan))
    schema = schemathesis.openapi.from_dict(description, config=config)
    found = Found()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            answers = [each.response for each in event.recorder.interactions.values()]
            found.requests += len(answers)
            found.statuses.update(answer.status_code for answer in answers if answer)
            found.failures.extend(_failures(event.recorder))
        elif isinstance(event, events.NonFatalError):
            found.failures.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return found


def _config(url: str, headers: dict[str, str], plan: Plan) -> dict[str, Any]:
    return {
        "base-url": url,
        "headers": headers,
        "seed": plan.seed,
        "continue-on-failure": True,
        "request-timeout": 30.0,
        "suppress-health-check": ["all"],
        "generation": {"max-examples": plan.examples, "no-shrink": True},
        "checks": {"enabled": True},
        "phases": {phase: {"enabled": phase in plan.phases} for phase in EVERYTHING},
    }


@schemathesis.serializer("application/x-ndjson")
def _one_line(_: Any, value: Any) -> Any:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


def _failures(recorder: Any) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            exchange = recorder.interactions[case_id]
            if check.failure_info is not None and not _is_as_designed(
                check.name, exchange, check.failure_info.failure
            ):
                yield _told(exchange, check.name, check.failure_info.failure)


def _is_as_designed(check: str, exchange: Any, failure: Failure) -> bool:
    path = urlsplit(exchange.request.uri).path
    if check == "negative_data_rejection":
        is_lenient = path.startswith(READ_LENIENTLY) and "Incorrect type" in failure.message
        return path == LINE_BY_LINE or is_lenient
    if check != "positive_data_acceptance":
        return False
    error = exchange.response.json()["error"]
    rule = (error["code"], path)
    return (
        rule[0] in BEYOND_A_SCHEMA
        or rule in BEYOND_A_SCHEMA_AT
        or bool(REASONS_BEYOND_A_SCHEMA.match(error["message"]))
        or (rule[0] == "conflicting_fields" and bool(OF_ONE_LINE.match(error["field"])))
    )


def _told(exchange: Any, check: str, failure: Failure) -> str:
    request, response = exchange.request, exchange.response
    asked = f"{request.method} {request.uri[:300]} {(request.body or b'')[:300]!r}"
    answered = f"{response.status_code} {response.content[:300]!r}" if response else "no answer"
    return f"{check}: {failure.title}\n  {asked}\n  {answered}\n  {failure.message[:400]}"
