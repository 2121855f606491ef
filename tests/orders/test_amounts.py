"""Any sequence of refunds of parts adds up to the line and to the order, to the smallest unit of the currency."""

from contextlib import suppress
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iso.currencies import DECIMALS, has_decimals_for
from orders.refunding.amounts import (
    Item,
    MoreThanLeft,
    NothingToRefund,
    Standing,
    TooManyDecimals,
    Wish,
    amount_of_units,
    plan,
)
from orders.rules.adjustments import Adjustment, Kind, worth_of_lines

CURRENCIES = ("JPY", "USD", "KWD")


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, list[Item], Decimal]:
    currency = draw(st.sampled_from(CURRENCIES))
    unit = Decimal(1).scaleb(-DECIMALS[currency])
    items = [
        Item(number, f"SKU-{number}", draw(st.integers(1, 7)), draw(st.integers(1, 10_000)) * unit)
        for number in range(1, draw(st.integers(1, 4)) + 1)
    ]
    return currency, items, draw(st.integers(0, 999)) * unit


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines(), st.data())
def test_any_sequence_of_refunds_adds_up(order: tuple[str, list[Item], Decimal], data: st.DataObject) -> None:
    currency, items, shipping = order
    left = sum((item.amount for item in items), shipping)
    refunded = {item.product_id: Decimal(0) for item in items}
    while open_items := [item for item in items if item.credited < item.quantity]:
        item = data.draw(st.sampled_from(open_items))
        units = data.draw(st.integers(1, item.quantity - item.credited))
        # Of a line worth 1 JPY, most units come to nothing, which is refused.
        with suppress(NothingToRefund):
            amount = Decimal(0)
            amount = plan(Wish(items=[(item.sku, units)]), Standing(currency, items, shipping, left)).amount
        assert amount == round(amount, DECIMALS[currency])
        refunded[item.product_id] += amount
        left -= amount
        place = items.index(item)
        items[place] = Item(item.product_id, item.sku, item.quantity, item.amount, item.credited + units)
    assert refunded == {item.product_id: item.amount for item in items}
    assert left == shipping


def standing(**more: object) -> Standing:
    item = Item(1, "SKU-1", 3, Decimal("10.00"), credited=1)
    facts = {"currency": "USD", "items": [item], "shipping_left": Decimal(5), "left": Decimal(11)}
    return Standing(**facts | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wish", "field", "left"),
    [
        (Wish(items=[(1, 3)]), "items[0].quantity", 2),
        (Wish(items=[("SKU-1", 1), (1, 2)]), "items[0].quantity", 2),
        (Wish(shipping=Decimal("5.01")), "shipping", 5),
        (Wish(amount=Decimal("11.01")), "amount", 11),
        (Wish(items=[(1, 2)], shipping=True), "", 11),
    ],
)
def test_no_more_than_is_left(wish: Wish, field: str, left: int) -> None:
    with pytest.raises(MoreThanLeft) as refused:
        plan(wish, standing())
    assert (refused.value.field, refused.value.left) == (field, left)


def test_an_amount_is_a_multiple_of_the_currencys_unit() -> None:
    with pytest.raises(TooManyDecimals):
        plan(Wish(amount=Decimal("10.5")), standing(currency="JPY"))


def test_an_amount_is_kept_in_the_decimals_of_its_currency():
    found = plan(Wish(amount=Decimal("1.000")), Standing("USD", [], Decimal(0), Decimal("5.00")))
    assert str(found.amount) == "1.00"


@settings(max_examples=60, deadline=None)
@given(lines(), st.integers(-30_000, 30_000), st.integers(0, 500))
def test_tax_and_discounts_are_spread_over_the_lines_to_the_cent(
    order: tuple[str, list[Item], Decimal], spread: int, fee: int
) -> None:
    currency, items, unit = order[0], order[1], Decimal(1).scaleb(-DECIMALS[order[0]])
    goods = sum((item.amount for item in items), Decimal(0))
    kind: Kind = "tax" if spread > 0 else "discount"
    given = [
        Adjustment(kind, "x", spread * unit),
        Adjustment("fee", "y", fee * unit),
        Adjustment("tax", "z", goods, included=True),
    ]
    worths = worth_of_lines([item.amount for item in items], given, currency=currency)
    assert sum(worths) == max(goods + spread * unit, 0)
    assert all(worth >= 0 and has_decimals_for(worth, currency) for worth in worths)


@settings(max_examples=60, deadline=None)
@given(lines(), st.integers(-30_000, 30_000), st.data())
def test_a_lines_own_adjustments_stay_with_it_and_its_units_add_up(
    order: tuple[str, list[Item], Decimal], spread: int, data: st.DataObject
) -> None:
    currency, items, unit = order[0], order[1], Decimal(1).scaleb(-DECIMALS[order[0]])
    amounts = [item.amount for item in items]
    place = data.draw(st.integers(1, len(items)))
    own = data.draw(st.integers(-int(amounts[place - 1] / unit), 500)) * unit
    of_line = [
        Adjustment("fee" if own > 0 else "discount", "x", own, line=place),
        Adjustment("tax", "y", amounts[place - 1], included=True, line=place),
    ]
    alone = worth_of_lines(amounts, of_line, currency=currency)
    assert alone == [amount + own * (index == place) for index, amount in enumerate(amounts, start=1)]
    of_order = Adjustment("tax" if spread > 0 else "discount", "z", spread * unit)
    worths = worth_of_lines(amounts, [*of_line, of_order], currency=currency)
    assert sum(worths) == max(sum(alone) + spread * unit, 0)
    assert all(worth >= 0 for worth in worths)
    line, worth = items[place - 1], worths[place - 1]
    item = Item(line.product_id, line.sku, line.quantity, worth)
    cuts = sorted(data.draw(st.sets(st.integers(0, item.quantity))) | {0, item.quantity})
    parts = [amount_of_units(item, i, j, currency=currency) for i, j in pairwise(cuts)]
    assert sum(parts) == worth
