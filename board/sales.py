"""Sales page, from the API's analytics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from iso.currencies import format_amount
from notifications.wording import REASONS
from orders.reporting import analytics
from orders.reporting.analytics import Analytics, PeriodSales, RefusalReason, Span, Unit


@dataclass(frozen=True, slots=True)
class Choice:
    title: str
    unit: Unit
    days: int


CHOICES = {
    "today": Choice("Today by hour", "hour", 1),
    "week": Choice("7 days", "day", 7),
    "month": Choice("31 days", "day", 31),
    "year": Choice("365 days", "day", 365),
}
USUAL = "week"


@dataclass(frozen=True, slots=True)
class Row:
    """A table row with its bar: percent of the longest."""

    of: Any
    percent: int


def context_of(chosen: str, *, now: datetime) -> dict[str, Any]:
    """Return the context for the days up to now, UTC; unknown choices get the default."""
    name = chosen if chosen in CHOICES else USUAL
    choice, today = CHOICES[name], now.astimezone(UTC).date()
    first = today - timedelta(days=choice.days - 1)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    found = analytics.analyse(Span(start, start + timedelta(days=choice.days)), unit=choice.unit)
    return {
        "choices": [(key, each.title) for key, each in CHOICES.items()],
        "chosen": name,
        "unit": choice.unit,
        "first": first,
        "sums": sums(found),
        "periods": _rows(found.periods[::-1], "revenue"),
        "products": _rows(found.top_products, "revenue"),
        "refusals": _rows(list(map(_in_words, found.refusal_reasons)), "orders"),
    }


def sums(found: Analytics) -> list[tuple[str, str]]:
    """Return the totals of all periods; revenue by currency."""
    placed = sum(period.placed for period in found.periods)
    confirmed = sum(period.confirmed for period in found.periods)
    counts = [
        ("Placed", f"{placed:,}"),
        ("Confirmed", f"{confirmed:,} · {_percent(confirmed, placed)} %"),
        ("Rejected", f"{sum(period.refused for period in found.periods):,}"),
        ("Cancelled", f"{sum(period.cancelled for period in found.periods):,}"),
        ("In progress", f"{sum(period.in_progress for period in found.periods):,}"),
    ]
    return counts + [
        ("Revenue", format_amount(amount, currency)) for currency, amount in _revenue(found.periods)
    ]


def _revenue(periods: Sequence[PeriodSales]) -> list[tuple[str, Decimal]]:
    by_currency: dict[str, Decimal] = {}
    for period in periods:
        by_currency[period.currency] = by_currency.get(period.currency, Decimal(0)) + period.revenue
    return sorted(by_currency.items())


def _in_words(refusal: RefusalReason) -> RefusalReason:
    return replace(refusal, reason=str(REASONS.get(refusal.reason, refusal.reason.replace("_", " "))))


def _rows(found: Sequence[Any], measure: str) -> list[Row]:
    longest = max((getattr(each, measure) for each in found), default=0)
    return [Row(each, _percent(getattr(each, measure), longest)) for each in found]


def _percent(part: float | Decimal, whole: float | Decimal) -> int:
    return round(100 * float(part) / float(whole)) if whole else 0
