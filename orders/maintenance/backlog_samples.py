"""Backlog samples, so that charts have no gaps."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from orders.reporting import stats
from orders.reporting.stats import Backlog
from scheduling.slots import once_per_slot, outcomes_since

NAME, INTERVAL = "beat", 10.0


def take(*, now: datetime) -> None:
    once_per_slot(
        name=NAME,
        interval=INTERVAL,
        work=lambda: msgspec.json.encode(stats.backlog()).decode(),
        now=now,
    )


def since(moment: datetime) -> Iterator[tuple[datetime, Backlog]]:
    for at, outcome in outcomes_since(NAME, moment):
        if outcome.startswith("{"):
            yield at, msgspec.json.decode(outcome, type=Backlog)
