"""All lines of an order that the catalogue refuses: placing stops at the first."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from orders.placing import pricing
from orders.placing.pricing import NewOrder

OF_LINES = (pricing.UnknownProduct, pricing.PriceChanged, pricing.WrongCurrency)


class LinesRefused(Exception):
    """Several lines are refused."""

    def __init__(self, refusals: list[Exception]) -> None:
        super().__init__(str(refusals[0]))
        self.refusals = refusals


@contextmanager
def all_lines_refused(new: NewOrder) -> Iterator[None]:
    """Turn the refusal of a line into one of all lines that are refused."""
    try:
        yield
    except OF_LINES as first:
        raise with_all_lines(first, new) from None


def with_all_lines(first: Exception, new: NewOrder) -> Exception:
    """Return LinesRefused if further lines are refused, else `first`."""
    if not isinstance(first, OF_LINES) or len(new.lines) == 1:
        return first
    others = list(_refusals(new, after=first.line))
    return LinesRefused([first, *others]) if others else first


def _refusals(new: NewOrder, *, after: int) -> Iterator[Exception]:
    catalogue = pricing.Catalogue(new.lines)
    for index, line in enumerate(new.lines[after + 1 :], start=after + 1):
        try:
            alone = msgspec.structs.replace(new, lines=[line], expected_total=None, adjustments=())
            pricing.price(alone, catalogue)
        except OF_LINES as refusal:
            refusal.line = index
            yield refusal
        except pricing.REFUSALS:
            continue
