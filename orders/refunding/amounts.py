"""What a part of an order is worth: arithmetic without input or output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from iso.currencies import DECIMALS, decimals_rule, has_decimals_for, rounded


class MoreThanLeft(Exception):
    """More is to be refunded than is left; `field` names what, `left` how much there is of it."""

    def __init__(self, field: str, left: Decimal | int) -> None:
        super().__init__(f"Only {left} is left to refund.")
        self.field, self.left = field, left


class NotOrdered(Exception):
    """The order has no such product."""

    def __init__(self, field: str) -> None:
        super().__init__("The order has no such product.")
        self.field = field


class SeveralLines(Exception):
    """The order has several lines of the product: which one is refunded matters."""

    def __init__(self, field: str) -> None:
        super().__init__("The order has several lines of this product: name one by its `line`.")
        self.field = field


class TooManyDecimals(Exception):
    """The currency has no such amount."""

    def __init__(self, field: str, currency: str) -> None:
        super().__init__(decimals_rule(currency))
        self.field = field


class NothingToRefund(Exception):
    """The parts add up to nothing."""

    def __init__(self) -> None:
        super().__init__("This adds up to nothing to refund.")


LineKey = tuple[int, int]  # product id, number among the lines of the product


class Place(NamedTuple):
    """A line by its place in the order, from 1."""

    place: int


class PlannedLine(NamedTuple):
    """Units of a line, and what they come to."""

    product_id: int
    units: int
    amount: Decimal
    number: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A line of an order, what was paid for it, and how many of its units credits cover."""

    product_id: int
    sku: str
    quantity: int
    amount: Decimal
    credited: int = 0
    number: int = 0  # among the lines of its product

    @property
    def key(self) -> "LineKey":
        """What names the line in its order."""
        return self.product_id, self.number


@dataclass(frozen=True, slots=True)
class Standing:
    """What an order is worth, and what is left of it to refund."""

    currency: str
    items: Sequence[Item]
    shipping_left: Decimal
    left: Decimal


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be refunded: units and shipping, or an amount. `shipping` True: all that is left of it."""

    items: Sequence[tuple[int | str | Place, int]] = ()  # product id, SKU or place; units
    shipping: Decimal | bool = False
    amount: Decimal | None = None
    reason: str = ""
    restock: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    amount: Decimal
    lines: list[PlannedLine] = field(default_factory=list)
    shipping_amount: Decimal = Decimal(0)

    @property
    def units(self) -> dict[int, int]:
        units: dict[int, int] = {}
        for line in self.lines:
            units[line.product_id] = units.get(line.product_id, 0) + line.units
        return units


def amount_of_units(item: Item, first: int, last: int, *, currency: str) -> Decimal:
    """Return the amount of a line's units after `first` up to `last`.

    Differences of one rounded function: parts add up to the line whatever their order and size.
    """
    return _up_to(item, last, currency) - _up_to(item, first, currency)


def _up_to(item: Item, units: int, currency: str) -> Decimal:
    unit = Decimal(1).scaleb(-DECIMALS.get(currency, 2))
    return (item.amount * units / item.quantity).quantize(unit, ROUND_HALF_UP)


def plan(wish: Wish, standing: Standing) -> Plan:
    """Return what a wish comes to. Raises MoreThanLeft, NotOrdered, SeveralLines or NothingToRefund."""
    _check_decimals(wish, standing.currency)
    if wish.amount is not None:
        found = Plan(rounded(wish.amount, standing.currency))
    else:
        lines = [
            _line(place, wanted, standing) for place, wanted in enumerate(_merged(wish, standing).items())
        ]
        shipping = rounded(_shipping(wish.shipping, standing), standing.currency)
        found = Plan(sum((line.amount for line in lines), shipping), lines, shipping)
    if found.amount <= 0:
        raise NothingToRefund
    if found.amount > standing.left:
        raise MoreThanLeft("amount" if wish.amount is not None else "", standing.left)
    return found


def _check_decimals(wish: Wish, currency: str) -> None:
    for name, amount in (("amount", wish.amount), ("shipping", wish.shipping)):
        if isinstance(amount, Decimal) and not has_decimals_for(amount, currency):
            raise TooManyDecimals(name, currency)


def _merged(wish: Wish, standing: Standing) -> Mapping[LineKey, int]:
    """Return units by line: names resolved, repeats added up."""
    merged: dict[LineKey, int] = {}
    for place, (name, units) in enumerate(wish.items):
        key = _named(f"items[{place}]", name, standing.items).key
        merged[key] = merged.get(key, 0) + units
    return merged


def _named(field: str, name: int | str | Place, items: Sequence[Item]) -> Item:
    """Return the line that is named by its product or place."""
    if isinstance(name, Place):
        if not 1 <= name.place <= len(items):
            raise NotOrdered(f"{field}.line")
        return items[name.place - 1]
    found = [item for item in items if name == (item.sku if isinstance(name, str) else item.product_id)]
    field = f"{field}.{'sku' if isinstance(name, str) else 'productId'}"
    if not found:
        raise NotOrdered(field)
    if len(found) > 1:
        raise SeveralLines(field)
    return found[0]


def _line(place: int, wanted: tuple[LineKey, int], standing: Standing) -> PlannedLine:
    key, units = wanted
    item = next(item for item in standing.items if item.key == key)
    if units > item.quantity - item.credited:
        raise MoreThanLeft(f"items[{place}].quantity", item.quantity - item.credited)
    last = item.credited + units
    amount = amount_of_units(item, item.credited, last, currency=standing.currency)
    return PlannedLine(item.product_id, units, amount, item.number)


def _shipping(wanted: Decimal | bool, standing: Standing) -> Decimal:  # noqa: FBT001 - true is a value of the API
    amount = standing.shipping_left if wanted is True else Decimal(wanted)
    if amount > standing.shipping_left:
        raise MoreThanLeft("shipping", standing.shipping_left)
    return amount
