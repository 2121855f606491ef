"""Stock counts by staff that the inventory sync has corrected since: the warehouse does not know of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from inventory.models import StockChange

SHOWN_FOR = timedelta(days=3)
# No index on the user: only the latest rows are searched.
SEARCHED_ROWS, MOST = 50_000, 20


@dataclass(frozen=True, slots=True)
class Overwritten:
    """A count by staff, and the sync's correction in the opposite direction."""

    change: StockChange
    by_sync: StockChange


def of_user(username: str, *, now: datetime) -> list[Overwritten]:
    """Return the user's counts of the last days that the sync has corrected since, latest first."""
    latest = StockChange.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    mine = StockChange.objects.filter(
        source=StockChange.Source.STAFF,
        made_by=username,
        made_at__gt=now - SHOWN_FOR,
        pk__gt=latest - SEARCHED_ROWS,
    )
    return _corrected(list(mine.select_related("product")[:MOST]))


def of_product(product_id: int, *, shown: int = 10) -> Sequence[StockChange]:
    return list(StockChange.objects.filter(product_id=product_id)[:shown])


def _corrected(changes: Sequence[StockChange]) -> list[Overwritten]:
    pairs = ((change, _opposite(change).order_by("pk").first()) for change in changes)
    return [Overwritten(change, by_sync) for change, by_sync in pairs if by_sync]


def _opposite(change: StockChange) -> QuerySet[StockChange]:
    against = Q(applied__lt=0) if change.applied > 0 else Q(applied__gt=0)
    return StockChange.objects.filter(
        against, product_id=change.product_id, source=StockChange.Source.SYNC, pk__gt=change.pk
    )
