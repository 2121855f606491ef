"""Counts the journal's events as its reader passes them, so that nobody has to count the whole journal.

The counts move in the transaction that moves the reader's place: each event is counted once, for good.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from notifications.models import EventCount
from orders.journal import FeedEvent

# Seconds from placement to an event; one more bucket takes what is later still.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


def count(events: Sequence[FeedEvent]) -> None:
    """Add the events to the counts, by type. Only who holds the reader's place may."""
    if not events:
        return
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        by_type[event.type].append(max(0.0, (event.at - event.placed_at).total_seconds()))
    stored = EventCount.objects.in_bulk(list(by_type))
    counts = [_added(stored.get(type_) or _nothing(type_), seconds) for type_, seconds in by_type.items()]
    EventCount.objects.bulk_create(
        counts,
        update_conflicts=True,
        unique_fields=["type"],
        update_fields=["events", "seconds", "buckets"],
    )


def _nothing(type_: str) -> EventCount:
    return EventCount(type=type_, buckets=[0] * (len(BUCKETS) + 1))


def _added(count: EventCount, seconds: Sequence[float]) -> EventCount:
    count.events += len(seconds)
    count.seconds += sum(seconds)
    for each in seconds:
        count.buckets[bisect_left(BUCKETS, each)] += 1
    return count
