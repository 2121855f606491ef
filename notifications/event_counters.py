"""Event counts for metrics.

They commit with the journal reader's cursor: each event counts exactly once.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from notifications.models import EventCount
from orders.journal import FeedEvent

# Seconds after placement; one more bucket holds the rest.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


def count(events: Sequence[FeedEvent]) -> None:
    """Count events by type. Requires the cursor lock."""
    if not events:
        return
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        by_type[event.type].append(max(0.0, (event.at - event.placed_at).total_seconds()))
    stored = EventCount.objects.in_bulk(list(by_type))
    counts = [_add(stored.get(type_) or _empty_count(type_), seconds) for type_, seconds in by_type.items()]
    EventCount.objects.bulk_create(
        counts,
        update_conflicts=True,
        unique_fields=["type"],
        update_fields=["events", "seconds", "buckets"],
    )


def _empty_count(type_: str) -> EventCount:
    return EventCount(type=type_, buckets=[0] * (len(BUCKETS) + 1))


def _add(count: EventCount, seconds: Sequence[float]) -> EventCount:
    count.events += len(seconds)
    count.seconds += sum(seconds)
    for each in seconds:
        count.buckets[bisect_left(BUCKETS, each)] += 1
    return count
