"""What an order will cost: goods, adjustments and estimated shipping, before the shipping step fixes it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from orders.rules.adjustments import Adjustment, total_of
from shipping import quotes
from shipping.quotes import Refusal


class TotalChanged(Exception):
    """The total is not the expected one."""

    def __init__(
        self, *, goods: Decimal, shipping: Decimal | Refusal, currency: str, adjusted: Decimal = Decimal(0)
    ) -> None:
        self.currency, self.refusal = currency, shipping if isinstance(shipping, Refusal) else None
        self.current: Decimal | None = None
        if isinstance(shipping, Refusal):
            super().__init__(f"There is no total: {shipping.message}")
        else:
            self.current = goods + adjusted + shipping
            by = f", {adjusted} by adjustments," if adjusted else ""
            super().__init__(
                f"The total is {self.current} {currency}: {goods} for the goods{by} and {shipping} for shipping."
            )


class Weighed(Protocol):
    @property
    def weight_grams(self) -> int: ...  # of a unit

    @property
    def quantity(self) -> int: ...


class Destined(Protocol):
    """An order's destination, currency and expected total."""

    @property
    def country(self) -> str: ...

    @property
    def currency(self) -> str: ...

    @property
    def expected_total(self) -> Decimal | None: ...


def adjusted(adjustments: Iterable[Adjustment]) -> Decimal:
    return total_of(adjustments)


def weight_of(lines: Iterable[Weighed]) -> int:
    return sum([line.weight_grams * line.quantity for line in lines])


def estimate_shipping(*, country: str, currency: str, goods: Decimal, weight_grams: int) -> Decimal | Refusal:
    """Return the price of shipping at current rates, up to two seconds old, or why there is none.

    The shipping step uses the same rates. Its price differs only if they change in between.
    """
    return quotes.estimate(quotes.Parcel(0, country, weight_grams, goods, currency))


def check_expected(new: Destined, lines: Iterable[Weighed], goods: Decimal, adjusted: Decimal) -> None:
    """Raise TotalChanged unless the expected total, if any, is the estimated one."""
    if new.expected_total is None:
        return
    shipping = estimate_shipping(
        country=new.country, currency=new.currency, goods=goods, weight_grams=weight_of(lines)
    )
    if isinstance(shipping, Refusal) or goods + adjusted + shipping != new.expected_total:
        raise TotalChanged(goods=goods, shipping=shipping, currency=new.currency, adjusted=adjusted)
