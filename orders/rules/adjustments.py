"""Adjustments of an order and of its lines: tax, discounts, fees, tips and shipping as the caller gives them. Nothing
is computed here but their sum, and the share of them that a refund of units carries.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, get_args

import msgspec

from iso.currencies import DECIMALS

Kind = Literal["tax", "discount", "fee", "tip", "shipping"]
KINDS: tuple[str, ...] = get_args(Kind)

# Spread over the lines: a refund of units carries its share.
OF_GOODS = ("tax", "discount")
SHIPPING = "shipping"


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """An amount beside the lines. A discount is at most 0, all others at least 0.

    One that is `included` is part of the prices already: it is shown, and does not change the total. `rate` is a
    share: 0.19 for 19 %. `line` is the place of the line that it belongs to, from 1; None: the order as a whole.
    """

    kind: Kind
    code: str
    amount: Decimal
    included: bool = False
    rate: Decimal | None = None
    line: int | None = None

    @property
    def title(self) -> str:
        """What staff read: Tax VAT (19 %)."""
        rate = "" if self.rate is None else f" ({(self.rate * 100).normalize():f} %)"
        return f"{self.kind.capitalize()} {self.code}{rate}"


def of_rows(rows: Any) -> list[Adjustment]:
    """Return the adjustments of a stored document; None has none."""
    return msgspec.convert(rows or [], list[Adjustment])


def total_of(adjustments: Iterable[Adjustment], *kinds: str) -> Decimal:
    """Return what adjustments add to the total: those that are not included, of all kinds or of some."""
    amounts = [each.amount for each in adjustments if not each.included and each.kind in (kinds or KINDS)]
    return sum(amounts, Decimal(0))


def of_line(adjustments: Iterable[Adjustment], place: int | None) -> list[Adjustment]:
    """Return the adjustments of the line at a place; None: those of the order as a whole."""
    return [each for each in adjustments if each.line == place]


def worth_of_lines(
    amounts: Sequence[Decimal], adjustments: Sequence[Adjustment], *, currency: str
) -> list[Decimal]:
    """Return what was paid for each line: its amount, own adjustments, and share of the order's tax and discounts.

    What is included does not count. Shares are in proportion to amounts with own adjustments, and differences of one
    rounded function, so they add up. No line is worth less than 0.
    """
    of_order = of_line(adjustments, None)
    if len(of_order) < len(adjustments):
        amounts = [
            amount + total_of(of_line(adjustments, place)) for place, amount in enumerate(amounts, start=1)
        ]
    goods = sum(amounts, Decimal(0))
    spread = max(total_of(of_order, *OF_GOODS), -goods)
    if not goods or not spread:
        return list(amounts)
    unit = Decimal(1).scaleb(-DECIMALS.get(currency, 2))
    worths, before, reached = [], Decimal(0), Decimal(0)
    for amount in amounts:
        reached += amount
        share = (spread * reached / goods).quantize(unit, ROUND_HALF_UP)
        worths.append(amount + share - before)
        before = share
    return worths
