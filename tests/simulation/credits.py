"""The simulated table of credits and of idempotency keys, and the operators who refund parts of orders."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.db import OperationalError
from rest_framework.response import Response

from api import idempotency
from faults.script import Planned
from inventory.stock import Wanted
from orders import commands
from orders.models import Credit
from orders.refunding import amounts, parts
from orders.refunding.amounts import LineKey, Plan, PlannedLine, Wish

if TYPE_CHECKING:
    from tests.simulation.database import Facts
    from tests.simulation.world import World

Table = dict[tuple[int, int], "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """A credit, as `orders.models.Credit` has it."""

    order_id: int
    number: int
    amount: Decimal
    lines: list[PlannedLine]
    shipping_amount: Decimal
    restock: bool
    state: str

    @property
    def units(self) -> dict[int, int]:
        return {line.product_id: line.units for line in self.lines}

    @property
    def units_by_line(self) -> dict[LineKey, int]:
        return {(line.product_id, line.number): line.units for line in self.lines}


def line_amounts(facts: "Facts") -> dict[int, Decimal]:
    """Return what each line is worth: as equal as whole amounts allow, so that thirds occur."""
    share, rest = divmod(facts.amount, len(facts.lines))
    return {product: share + (rest if place == 0 else 0) for place, product in enumerate(sorted(facts.lines))}


class Credits:
    """Stands in for the statements of `orders.refunding` and `api.managers`."""

    def __init__(self, world: "World") -> None:
        self._world, self._database = world, world.database
        self.clicks: Counter[int] = Counter()  # requests with keys of their own, by order
        self._keys: set[str] = set()

    # --- orders.crediting ---

    def of_orders(self, order_ids: Iterable[int]) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = {}
        wanted = set(order_ids)
        rows = (row for row in self._database.credits.values() if row.order_id in wanted)
        for row in sorted(rows, key=lambda row: (row.order_id, row.number)):
            found.setdefault(row.order_id, []).append(row)
        return found

    def grant(self, order_id: int, plan: Plan, wish: Wish, *, number: int, requested_by: int | None) -> Row:
        state = Credit.State.REQUESTED
        row = Row(order_id, number, plan.amount, plan.lines, plan.shipping_amount, wish.restock, state)
        self._database.write(lambda: self._database.credits.__setitem__((order_id, number), row))
        return row

    def set_state(self, order_id: int, number: int, state: str) -> None:
        def write() -> None:
            row = self._database.credits[order_id, number]
            self._database.credits[order_id, number] = replace(row, state=state)

        self._database.write(write)

    def read(self, order_id: int) -> tuple[Any, list[Row]]:
        facts, shipping = (
            self._database.facts[order_id],
            self._database.journeys[order_id].state["shipping_amount"],
        )
        worth = line_amounts(facts)
        lines = [
            SimpleNamespace(
                product_id=product, number=0, sku=str(product), quantity=units, amount=worth[product]
            )
            for product, units in sorted(facts.lines.items())
        ]
        order = SimpleNamespace(
            pk=order_id,
            currency="USD",
            journey=SimpleNamespace(shipping_amount=shipping),
            adjustment_list=facts.adjustments,
            lines=SimpleNamespace(all=lambda: lines),
        )
        return order, self.of_orders([order_id]).get(order_id, [])

    def release_units(self, *, lines: Sequence[Wanted]) -> None:
        self._database.lock_stock(line.product_id for line in lines)

        def write() -> None:
            for order_id, product_id, quantity in lines:
                held = self._database.reservations[order_id]
                held[product_id] -= quantity
                if not held[product_id]:
                    del held[product_id]
                self._database.stock[product_id].reserved -= quantity

        self._database.write(write)

    # --- api.idempotency ---

    def claim_key(self, key: str) -> bool:
        self._database.lock(("key", key))
        if key in self._keys:
            return False
        self._database.write(lambda: self._keys.add(key))
        return True

    # --- Operators ---

    def refund(self, number: int, key: str) -> None:
        """An operator clicks; if no answer comes, again with the same key."""
        dice = self._world.dice
        facts = self._database.facts[number]
        kinds = [
            Wish(items=[(dice.choice(sorted(facts.lines)), 1)], restock=dice.random() < 0.5),
            Wish(amount=Decimal(dice.randint(1, 30))),
            Wish(items=sorted(facts.lines.items()), shipping=True),
            Wish(shipping=True),
        ]
        wish = dice.choice(kinds)
        request: Any = SimpleNamespace(
            META={"HTTP_IDEMPOTENCY_KEY": key},
            user=SimpleNamespace(pk=1),
            method="POST",
            get_full_path=lambda: f"/api/orders/{number}/refunds",
            data={},
        )

        def run() -> Response:
            parts.refund_part(order_id=number, wish=wish)
            return Response({})

        for _ in range(2):
            with suppress(Planned, OperationalError, commands.NotPossible):
                with suppress(amounts.MoreThanLeft, amounts.NothingToRefund):
                    idempotency.answer_once(request, run)
                return
            self._world.clock.sleep(0.2)
