"""What must always hold, checked at every commit and at the end of a world.

In a calm world, where nothing goes wrong, no order that is not refused ever waits for anything but units that others
may yet leave.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings

from orders.events import STATUS_AFTER, EventType
from orders.legs import LEGS, NAMES, PAYMENT, STOCK
from orders.models import Credit
from orders.rules.adjustments import worth_of_lines
from orders.rules.leg_types import Mark
from orders.status import TRANSITIONS, Status
from orders.workflow import JourneyState
from payments.balance import balance
from tests.simulation.credits import Row, line_amounts

if TYPE_CHECKING:
    from tests.simulation.database import Database
    from tests.simulation.database import Row as JourneyRow
    from tests.simulation.provider import Provider

AT_REST = frozenset({Status.CONFIRMED, Status.COMPLETED, Status.CANCELLED, Status.REJECTED})
GOOD = frozenset({Status.CONFIRMED, Status.COMPLETED})
ENDS = {
    Status.CONFIRMED: {leg.name: (leg.confirmed_as, *leg.also_confirmed_as) for leg in LEGS},
    Status.COMPLETED: {leg.name: (leg.completed_as, *leg.also_confirmed_as) for leg in LEGS},
}


class Watch:
    """Sees every commit, and notes what breaks a promise."""

    def __init__(self, *, calm: bool) -> None:
        self._calm = calm
        self.violations: list[str] = []
        self._read: dict[
            int, tuple[int, Status]
        ] = {}  # events read of each order, and the status they lead to

    def note(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(what)

    def committed(self, database: "Database", touched: set[int]) -> None:
        """Check what a commit touched."""
        for order_id in touched:
            self._check_journal(order_id, database.journeys[order_id])
            self._check_legs(order_id, database.journeys[order_id])
        for product_id, item in database.stock.items():
            if not item.on_hand >= item.reserved >= 0:
                self.note(f"stock of {product_id}: {item.on_hand} on hand, {item.reserved} reserved")

    def about_to_save(self, database: "Database", state: JourneyState) -> None:
        """Check what a process is about to write, under the locks that it decided under."""
        if not any(event.type is EventType.STOCK_REFUSED for event in state.events):
            return
        lines, now = database.facts[state.order_id].lines, database.clock.now
        within_reach = all(units <= database.units([id_])[id_].reachable for id_, units in lines.items())
        time_left = database.queued_at.get(state.order_id, now) + settings.STOCK_WAIT_SECONDS - now
        if within_reach and time_left > 0:
            self.note(f"order {state.order_id}: refused, though only orders that are not paid hold its units")

    def _check_journal(self, order_id: int, row: "JourneyRow") -> None:
        """Gapless, in order, legal moves only, and what it says is so."""
        read, status = self._read.get(order_id, (1, Status.PENDING))
        for sequence, type_ in row.events[read:]:
            read += 1
            if sequence != read:
                self.note(f"order {order_id}: event {read} has sequence {sequence}")
            earlier = (type_ for _, type_ in row.events[: read - 1])
            if type_ == EventType.PAYMENT_CAPTURED and EventType.STOCK_RESERVED not in earlier:
                self.note(f"order {order_id}: money was taken for what was not held")
            target = STATUS_AFTER.get(EventType(type_), status)
            if target is not status and target not in TRANSITIONS[status]:
                self.note(f"order {order_id}: from {status} to {target}")
            status = target
        self._read[order_id] = read, status
        if (row.state["sequence"], row.status) != (read, status):
            self.note(
                f"order {order_id}: is {row.status} at {row.state['sequence']}, its journal says {status} at {read}"
            )

    def _check_legs(self, order_id: int, row: "JourneyRow") -> None:
        if row.due_at is None and row.status in (Status.PROCESSING, Status.CANCELLING) and not row.attention:
            self.note(f"order {order_id}: {row.status}, and it is never due again")
        stands = {name: row.state[name] for name in NAMES}
        if (
            stands["payment"] in (PAYMENT.REFUNDING, PAYMENT.MOVING)
            and row.due_at is None
            and not row.attention
        ):
            self.note(f"order {order_id}: owes a refund, and it is never due again")
        if row.status in ENDS and any(state not in ENDS[row.status][name] for name, state in stands.items()):
            self.note(f"order {order_id}: {row.status} with {stands}")
        held = {name: code for name, code in stands.items() if code.holds and code.mark is not Mark.OPEN}
        if row.status in (Status.CANCELLED, Status.REJECTED) and held:
            self.note(f"order {order_id}: {row.status} and holds {held}")
        if ("Error" in row.attention or "Illegal" in row.attention) and "Planned" not in row.attention:
            self.note(f"order {order_id}: {row.attention}")

    def ended(self, database: "Database", provider: "Provider", received: dict[int, int]) -> None:
        """Check everything, once nothing is under way any more."""
        for order_id, row in database.journeys.items():
            if row.status not in AT_REST or row.due_at is not None:
                self.note(
                    f"order {order_id}: never came to rest: {row.status}, due {row.due_at},"
                    f" waits for {row.state['wait']!s}, {row.attention}"
                )
            self._check_total(order_id, database)
            self._check_money(order_id, row, database, provider)
            self._check_credits(order_id, row, database)
            self._check_holding(order_id, row, database)
            # One that is refused while its authorization is under way waits for the outcome.
            fine = {STOCK.UNITS_HELD, *([PAYMENT.OUTCOME_UNKNOWN] if row.status is Status.REJECTED else [])}
            if self._calm and (waited := [wait for wait in row.waits if wait not in fine]):
                self.note(f"order {order_id}: waited though nothing went wrong: {waited}")
        self._check_stock(database, received)

    def _check_total(self, order_id: int, database: "Database") -> None:
        """Adjustments are in the total, but for those that are included in the prices."""
        facts = database.facts[order_id]
        too_much = facts.adjusted - _adjusted(database, order_id)
        if too_much and too_much in [each.amount for each in facts.adjustments if each.included]:
            self.note(f"order {order_id}: {too_much} is included in the prices, and added again")
        elif too_much:
            self.note(f"order {order_id}: adjustments of {-too_much} are left out of the total")

    def _check_money(
        self, order_id: int, row: "JourneyRow", database: "Database", provider: "Provider"
    ) -> None:
        facts = database.facts[order_id]
        account = provider.account(facts.reference)
        granted = sum(credit.amount for credit in _credits(database, order_id))
        total = facts.amount + _adjusted(database, order_id) + (row.state["shipping_amount"] or 0)
        owed = total - granted if row.status in GOOD else Decimal(0)
        # Staff may leave a part uncaptured, which the provider holds until the authorization expires.
        is_open = row.status in GOOD and row.state["payment"] in (PAYMENT.HELD, PAYMENT.EXPIRED)
        rest = account.authorized - account.captured if is_open else Decimal(0)
        held = rest if row.state["payment"] is PAYMENT.HELD else Decimal(0)
        if held > account.held:
            self.note(f"order {order_id}: counts {held} as held, the provider holds {account.held}")
        book = [e for e in database.payments.values() if e.order_id == order_id]
        captured = balance(book).captured
        if captured != account.captured:
            self.note(
                f"order {order_id}: counts {captured} as captured, the provider took {account.captured}"
            )
        if row.state["payment"] in (PAYMENT.HELD, PAYMENT.EXPIRED) and captured == account.authorized:
            self.note(f"order {order_id}: {row.state['payment']}, though all of it is captured")
        parts = [e for e in book if e.kind == "capture"]
        if (
            account.captures > max(1, len(parts))
            or account.captured - account.refunded != owed - rest
            or account.held != held
        ):
            self.note(
                f"order {order_id}: {row.status} owes {owed}; provider took {account.captured} in"
                f" {account.captures}, gave back {account.refunded}, holds {account.held}"
            )

    def _check_credits(self, order_id: int, row: "JourneyRow", database: "Database") -> None:
        credits_ = _credits(database, order_id)
        if [credit.number for credit in credits_] != list(range(1, len(credits_) + 1)):
            self.note(f"order {order_id}: its credits are numbered {[credit.number for credit in credits_]}")
        if len(credits_) > database.clicks[order_id]:
            self.note(f"order {order_id}: {len(credits_)} credits for {database.clicks[order_id]} requests")
        if row.status in GOOD and any(credit.state != Credit.State.REFUNDED for credit in credits_):
            self.note(f"order {order_id}: {row.status} with {credits_}")
        for product, worth in _worths(database, order_id).items():
            lines = [line for credit in credits_ for line in credit.lines if line[0] == product]
            units, refunded = sum(line[1] for line in lines), sum(line[2] for line in lines)
            if units > database.facts[order_id].lines[product]:
                self.note(f"order {order_id}: {units} units of {product} are refunded")
            if units == database.facts[order_id].lines[product] and refunded != worth:
                self.note(f"order {order_id}: all units of {product} come to {refunded}, the line to {worth}")

    def _check_holding(self, order_id: int, row: "JourneyRow", database: "Database") -> None:
        wanted = _units_left(database, order_id) if row.state["stock"] is STOCK.RESERVED else {}
        if database.reservations.get(order_id, {}) != wanted:
            self.note(
                f"order {order_id}: {row.status} holds {database.reservations.get(order_id)}, not {wanted}"
            )

    def _check_stock(self, database: "Database", received: dict[int, int]) -> None:
        for product_id, item in database.stock.items():
            reserved = sum(lines.get(product_id, 0) for lines in database.reservations.values())
            sold = sum(
                _units_left(database, order_id).get(product_id, 0)
                for order_id, row in database.journeys.items()
                if row.state["stock"] is STOCK.SOLD
            )
            if (item.reserved, item.sold, item.on_hand) != (reserved, sold, received[product_id] - sold):
                self.note(f"stock of {product_id}: {item}, orders hold {reserved} and took {sold}")


def _credits(database: "Database", order_id: int) -> list[Row]:
    return [row for (id_, _), row in sorted(database.credits.items()) if id_ == order_id]


def _adjusted(database: "Database", order_id: int) -> Decimal:
    return sum((e.amount for e in database.facts[order_id].adjustments if not e.included), Decimal(0))


def _worths(database: "Database", order_id: int) -> dict[int, Decimal]:
    """Return what was paid for each line: its amount, its own adjustments, and its share of tax and discounts."""
    facts = database.facts[order_id]
    amounts = line_amounts(facts)
    worths = worth_of_lines(list(amounts.values()), facts.adjustments, currency="USD")
    of_goods = [
        each.amount
        for each in facts.adjustments
        if (each.line or each.kind in ("tax", "discount")) and not each.included
    ]
    assert sum(worths) == facts.amount + sum(of_goods)
    return dict(zip(amounts, worths, strict=True))


def _units_left(database: "Database", order_id: int) -> dict[int, int]:
    """Return the units of an order that were not put back to stock with a refund."""
    left = dict(database.facts[order_id].lines)
    for credit in _credits(database, order_id):
        for product, units in credit.units.items() if credit.restock else ():
            left[product] -= units
    return {product: units for product, units in left.items() if units}
