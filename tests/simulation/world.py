"""One world: a shop, its orders, the people who meddle with them, everything that goes wrong, and the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal

from django.db import OperationalError

from faults.script import Planned
from orders import commands, dispatcher
from orders.legs import NAMES, PAYMENT
from orders.maintenance.expiry import ExpiryWatch
from orders.payment.captures import AuthorizationExpired, CaptureUnderWay
from orders.placing import totals
from orders.refunding import capturing, reversals
from orders.refunding.capturing import MoreThanHeld
from orders.rules.adjustments import Adjustment
from orders.rules.leg_types import Leg, Mark, State
from orders.status import UNDER_WAY, Status
from orders.waits import shortages
from payments.gateways.protocol import Outcome
from tests.planted import planted
from tests.simulation.actors import Clock, Crash, Stuck
from tests.simulation.broker import Broker
from tests.simulation.credits import Credits
from tests.simulation.database import Database, Facts, Item
from tests.simulation.desk import Desk
from tests.simulation.dice import Dice
from tests.simulation.invariants import AT_REST, Watch
from tests.simulation.ports import simulated
from tests.simulation.provider import Provider

TROUBLE_SECONDS = 30.0
PATIENCE_SECONDS = 2_000.0
EXPIRY_POLL_SECONDS = 5.0
REFUSALS = (commands.NotPossible, CaptureUnderWay, MoreThanHeld, AuthorizationExpired)
# Of each product, units in store for each order: the first is always sold out, the last never.
UNITS = {1: 0.3, 2: 1.0, 3: 10.0}


def _adjustments(number: int, goods: Decimal) -> list[Adjustment]:
    """Return what three of five orders have beside their lines; gifts have nothing."""
    kinds = {
        1: [
            Adjustment("tax", "VAT", goods / 4),
            Adjustment("discount", "coupon", -goods / 2),
            Adjustment("tip", "", Decimal(2)),
        ],
        2: [Adjustment("tax", "GST", Decimal(1), included=True), Adjustment("fee", "wrap", Decimal(3))],
        3: [
            Adjustment("tax", "VAT", Decimal("0.25"), line=1),
            Adjustment("fee", "engraving", Decimal("0.05"), line=1),
            Adjustment("tax", "GST", Decimal("0.10"), included=True, line=1),
            Adjustment("discount", "coupon", -goods / 4),
        ],
    }
    return kinds.get(number % 5, []) if goods else []


class World:
    """The world of one seed."""

    def __init__(
        self,
        seed: int,
        orders: int,
        *,
        calm: bool = False,
        plant: str = "",
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """`calm`: nothing goes wrong. `plant`: with this fault of `tests.planted`. `tell`: hear what happens."""
        self.seed, self._tell, self._plant = seed, tell, plant
        self.dice = Dice(seed, calm=calm)
        self.clock = Clock(self.dice)
        self.watch = Watch(calm=calm)
        self.database = Database(self.clock, self.dice, self.watch)
        self.provider = Provider(self.clock, self.dice)
        self.broker = Broker(self.clock, self.dice)
        # Whether calls leave their batch, as with a provider over the network, or the batch waits for them.
        self.hands_over = self.dice.random() < 0.7
        self.desk = Desk(self)
        self.credits = Credits(self)
        self.provider.on_news = self._send_webhooks
        self.database.clicks = self.credits.clicks
        self.received = {product_id: int(units * orders) + 1 for product_id, units in UNITS.items()}
        self.database.stock = {product_id: Item(units) for product_id, units in self.received.items()}
        self._rung = False
        self._orders = orders
        self._verdicts: dict[tuple[str, int], State] = {}

    def run(self) -> list[str]:
        """Live it to its end. Return what broke a promise."""
        with simulated(self), planted(self._plant), quiet():
            for number in range(1, self._orders + 1):
                self._arrive(number)
            self.clock.at(TROUBLE_SECONDS, self._become_calm)
            self._tick()
            self._watch_expiry()
            try:
                self.clock.run(until=self._is_over, most_turns=1_000 + 500 * self._orders)
            except Stuck as stuck:
                self.watch.note(str(stuck))
            self.watch.ended(self.database, self.provider, self.received)
        return [f"seed {self.seed}: {violation}" for violation in self.watch.violations]

    # --- People ---

    def _arrive(self, number: int) -> None:
        dice = self.dice
        amount = Decimal(dice.randint(1, 100) - 1)
        adjustments = _adjustments(number, amount)
        facts = Facts(
            order_id=number,
            reference=f"r{number}",
            amount=amount,
            token="tok_declined" if dice.random() < 0.06 else "tok_demo",
            country="AQ" if dice.random() < 0.04 else "US",
            lines={product: dice.randint(1, 3) for product in dice.sample(sorted(UNITS), dice.randint(1, 2))},
            hold=dice.random() < 0.05,
            later=number % 4 == 0,
            adjustments=adjustments,
            adjusted=totals.adjusted(adjustments),
        )
        placed_at = dice.random() * dice.choice((0.1, 3, 15))
        self.clock.at(placed_at, lambda: self._place(facts))
        if not dice.calm:
            self._have_people_meddle(number, placed_at)
        if dice.random() < 0.25:
            self._have_operators_refund(number, placed_at)
        if facts.later:
            self._have_staff_capture(number, placed_at)
        if facts.hold:
            self._meddle(number, commands.process_order, placed_at)

    def _have_people_meddle(self, number: int, placed_at: float) -> None:
        dice = self.dice
        if dice.random() < 0.3:
            self._meddle(number, commands.cancel_order, placed_at, reason="Changed mind")
        if dice.random() < 0.15:
            self._meddle(number, commands.complete_order, placed_at)
        if dice.random() < 0.1:
            self._meddle(number, commands.cancel_order, placed_at, reason="Came back", returning=True)
        if dice.random() < 0.1:
            self._meddle(number, commands.retry_order, placed_at)

    def _have_operators_refund(self, number: int, placed_at: float) -> None:
        """One or two operators, who click once or twice, at about the same moment."""
        dice = self.dice
        moment = placed_at + dice.random() * dice.choice((3, 20, 60))
        for click in range(dice.randint(1, 3)):
            self.credits.clicks[number] += 1
            self._click(number, f"{number}:{click}", moment + dice.random() * dice.choice((0, 0.05, 5)))

    def _have_staff_capture(self, number: int, placed_at: float) -> None:
        """A part, another one, perhaps at the same moment, and mostly all the rest."""
        dice = self.dice
        for _ in range(dice.randint(1, 3)):
            amount = Decimal(dice.randint(1, 40))
            self._meddle(number, capturing.capture_part, placed_at, amount=amount)
        if dice.random() < 0.7:
            self._meddle(number, capturing.capture_part, placed_at + 20)

    def _click(self, number: int, key: str, moment: float) -> None:
        for _ in range(self.dice.randint(1, 2)):
            self.clock.at(
                moment, lambda: self.clock.start("refund_part", lambda: self.credits.refund(number, key))
            )

    def _place(self, facts: Facts) -> None:
        self.database.place(facts)
        self.ring()

    def _meddle(self, number: int, command: Callable[..., object], after: float, **how: object) -> None:
        moment = after + self.dice.random() * self.dice.choice((0.3, 3, 40))
        self.clock.at(moment, lambda: self._ask(number, command, **how))

    def _ask(self, number: int, command: Callable[..., object], **how: object) -> None:
        def asking() -> None:
            with suppress(*REFUSALS, OperationalError, Planned):
                command(order_id=number, **how)

        self.clock.start(command.__name__, asking)

    def _operate(self) -> None:
        """An operator goes through the list: what is held starts, what needs attention is tried again."""
        for order_id, row in self.database.journeys.items():
            undecided = any(row.state[name].approved_as for name in NAMES)
            if row.attention and undecided and row.status is Status.PROCESSING:
                self._decide(order_id)
            elif row.attention and (
                row.status in UNDER_WAY or row.state["payment"] in (PAYMENT.REFUNDING, PAYMENT.MOVING)
            ):
                self._ask(order_id, commands.retry_order)
            elif row.due_at is None and row.status is Status.PENDING:
                self._ask(order_id, commands.process_order)
        self.clock.at(self.clock.now + 30, self._operate)

    def _decide(self, order_id: int) -> None:
        """Staff approve most orders on which a leg leaves the decision to them, and cancel the others."""
        if self.dice.random() < 0.7:
            self._ask(order_id, commands.approve_order)
        else:
            self._ask(order_id, commands.cancel_order, reason="Not approved")

    def verdict(self, leg: Leg, order_id: int) -> State:
        """Return what a leg's provider says of an order, however often it is asked."""
        if (leg.name, order_id) not in self._verdicts:
            good, others = _ways_out(leg)
            is_good = not others or self.dice.random() < 0.85
            self._verdicts[leg.name, order_id] = self.dice.choice(good if is_good else others)
        return self._verdicts[leg.name, order_id]

    def _become_calm(self) -> None:
        self.dice.calm = True
        self._operate()

    # --- Webhooks ---

    def _send_webhooks(self, key: str, outcome: Outcome) -> None:
        """The provider reports a late failure or decision, once or twice, until it is taken."""
        for _ in range(self.dice.randint(1, 2)):
            self.clock.start("webhook", lambda: self._deliver(key, outcome), after=3 * self.dice.random())

    def _deliver(self, key: str, outcome: Outcome) -> None:
        done = False
        try:
            entry = next((e for e in self.database.payments.values() if e.key == key), None)
            if entry is not None:
                reversals.record_news(entry, outcome)
            done = True
        except (OperationalError, Planned):
            pass
        finally:
            if not done:
                self.clock.start("webhook", lambda: self._deliver(key, outcome), after=2)

    # --- The dispatcher ---

    def ring(self) -> None:
        """Something is due now."""
        if not self._rung:
            self._rung = True
            self.clock.at(self.clock.now + 0.01, self._answer)

    def _answer(self) -> None:
        self._rung = False
        self.clock.start("dispatcher", self._dispatch)

    def _tick(self) -> None:
        """Poll without a wake-up, as soon as something is due."""
        now = self.clock.now
        due = min(
            (row.due_at for row in self.database.journeys.values() if row.due_at is not None), default=now + 5
        )
        if due <= now:
            self.clock.start("dispatcher", self._dispatch)
        self.clock.at(max(now + 0.5, due), self._tick)

    def _watch_expiry(self) -> None:
        """Each dispatcher watches for itself, at moments of its own."""
        if self.provider.expires_after is None:
            return
        for _ in range(self.dice.randint(1, 2)):
            self.clock.start(
                "expiry watch", self._poll_expiry, after=EXPIRY_POLL_SECONDS * self.dice.random()
            )
        self.clock.at(self.clock.now + EXPIRY_POLL_SECONDS, self._watch_expiry)

    def _poll_expiry(self) -> None:
        with suppress(OperationalError, Planned):
            ExpiryWatch().look()

    def _dispatch(self) -> None:
        with suppress(OperationalError, Planned):
            dispatcher.dispatch_due(send=self.broker.send)
            shortages.wake()

    # --- Trouble ---

    def point(self, place: str, /) -> None:
        """Pass a kill point: go on, give way, freeze, fail or die."""
        dice = self.dice
        if self._tell is not None:
            self._tell(f"{self.clock.now:9.3f}  {self.clock.current.name:28} {place}")  # type: ignore[union-attr]
        if dice.calm:
            return
        if dice.random() < 0.3:
            self.clock.give_way()
        if dice.happens("crash"):
            raise Crash
        if dice.happens("planned_error"):
            raise Planned(place)
        if dice.happens("freeze"):
            self._freeze()

    def _freeze(self) -> None:
        """Stand still past the lease; the database ends the transaction of one who does so inside it."""
        actor = self.clock.current
        assert actor is not None
        if actor.transaction is None:
            self.clock.sleep(self.dice.choice((1, 9, 20, 60)))
        else:
            self.clock.sleep(self.dice.choice((0.1, 2)))

    # --- The end ---

    def _is_over(self) -> bool:
        planted_and_caught = self._plant and self.watch.violations
        if planted_and_caught or self.clock.now > TROUBLE_SECONDS + PATIENCE_SECONDS:
            return True
        journeys = self.database.journeys.values()
        is_late = self.clock.now > max(TROUBLE_SECONDS + 100, self.provider.last_expiry)
        expires = self.provider.expires_after is not None
        return is_late and all(
            row.due_at is None
            and row.status in AT_REST
            and not (expires and row.state["payment"] is PAYMENT.HELD)
            for row in journeys
        )


def _ways_out(leg: Leg) -> tuple[list[State], list[State]]:
    """Return the states of success, and those of a refusal or a decision by staff."""
    states = list(leg.states.values())
    good = [state for state in states if state.good]
    return good, [state for state in states if state.mark in (Mark.REFUSED, Mark.PERSON)]


@contextmanager
def quiet() -> Iterator[None]:
    """Planned errors are no news."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
