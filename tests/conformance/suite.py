"""What every payment gateway has to do.

To test a gateway, subclass `GatewayConformance` in a module of tests and override the fixture `rig`:

    class TestMine(GatewayConformance):
        @pytest.fixture
        def rig(self) -> Rig:
            return Rig(MyGateway(), Tokens(good="pm_good", declined="pm_bad"))

Tests of what the rig cannot do are skipped; what it can do must hold.
"""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations

import pytest

from payments.gateways.base import check_opaque
from payments.gateways.protocol import Event, NotForUs, NotGenuine
from tests.conformance.rig import Killed, Order, Rig

KINDS = ("authorize", "capture", "void", "refund")


def order_before(kind: str, rig: Rig) -> Order:
    """Return an order for which a call of the kind comes next."""
    order = Order(rig)
    if kind != "authorize":
        assert order.authorize().kind == "succeeded"
    if kind == "refund":
        assert order.capture().kind == "succeeded"
    return order


def _order_to_capture_in_parts(rig: Rig) -> Order:
    if not rig.gateway.capabilities.several_captures:
        pytest.skip("It captures once.")
    return order_before("capture", rig)


def moved(order: Order, kind: str) -> Decimal:
    """Return how much the provider has moved in calls of the kind."""
    names = {"authorize": "authorized", "capture": "captured", "void": "voided", "refund": "refunded"}
    amount: Decimal = getattr(order.line(), names[kind])
    return amount


class GatewayConformance:
    """The suite."""

    @pytest.fixture
    def rig(self) -> Rig:
        """Return the gateway under test."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _known_differences(self, rig: Rig, request: pytest.FixtureRequest) -> None:
        for name in (request.node.originalname, request.node.name):
            if name in rig.differs:
                pytest.skip(rig.differs[name])

    # --- Money ---

    def test_it_moves_the_amount_in_each_currency(self, rig: Rig) -> None:
        for amount, currency in rig.amounts:
            order = Order(rig, amount=amount, currency=currency)
            assert [order.authorize().kind, order.capture().kind, order.refund().kind] == ["succeeded"] * 3
            line = order.line()
            wanted = (Decimal(amount), Decimal(amount), Decimal(amount), currency)
            assert (line.authorized, line.captured, line.refunded, line.currency) == wanted

    def test_a_decline_moves_nothing_and_stays_one(self, rig: Rig) -> None:
        if not rig.tokens.declined:
            pytest.skip("No payment method is declined.")
        order = Order(rig, token=rig.tokens.declined)
        declined = order.authorize()
        assert (declined.kind, bool(declined.code)) == ("declined", True)
        assert order.authorize().kind == "declined"
        assert moved(order, "authorize") == 0

    def test_a_void_releases_what_is_held(self, rig: Rig) -> None:
        order = order_before("void", rig)
        assert order.void().kind == "succeeded"
        line = order.line()
        assert line.authorized == line.voided

    def test_refunds_in_parts_add_up(self, rig: Rig) -> None:
        if not rig.gateway.capabilities.partial_refund:
            pytest.skip("It refunds in full only.")
        order = order_before("refund", rig)
        assert order.refund(amount="12.50").kind == "succeeded"
        assert order.refund(amount="7.50", number=2).kind == "succeeded"
        assert moved(order, "refund") == Decimal("20.00")

    def test_a_capture_in_part_releases_the_rest(self, rig: Rig) -> None:
        if not rig.gateway.capabilities.partial_capture:
            pytest.skip("It captures in full only.")
        order = order_before("capture", rig)
        assert order.capture(amount="12.50").kind == "succeeded"
        assert moved(order, "capture") == Decimal("12.50")

    def test_captures_in_parts_add_up_each_done_once(self, rig: Rig) -> None:
        order = _order_to_capture_in_parts(rig)
        for number, amount in ((1, "12.50"), (2, "4.00"), (2, "4.00"), (3, "3.50")):
            assert order.capture(amount=amount, number=number).kind == "succeeded"
        line = order.line()
        assert (line.captured, line.captures) == (Decimal("20.00"), 3)

    def test_captures_in_parts_never_exceed_what_is_held(self, rig: Rig) -> None:
        order = _order_to_capture_in_parts(rig)
        assert order.capture(amount="12.50").kind == "succeeded"
        assert order.capture(amount="7.51", number=2).kind == "declined"
        assert moved(order, "capture") == Decimal("12.50")

    def test_a_void_releases_what_captures_in_parts_left(self, rig: Rig) -> None:
        order = _order_to_capture_in_parts(rig)
        assert order.capture(amount="12.50").kind == "succeeded"
        assert order.void().kind == "succeeded"
        assert order.capture(amount="1.00", number=2).kind == "declined"
        line = order.line()
        assert (line.captured, line.captured + line.voided) == (Decimal("12.50"), line.authorized)

    def test_each_capture_is_refunded_up_to_itself(self, rig: Rig) -> None:
        order = _order_to_capture_in_parts(rig)
        order.capture(amount="12.50")
        order.capture(amount="7.50", number=2)
        assert order.refund(amount="7.50", of="capture:2").kind == "succeeded"
        assert order.refund(amount="0.50", number=2, of="capture:2").kind == "declined"
        assert order.refund(amount="12.50", number=3).kind == "succeeded"
        assert moved(order, "refund") == Decimal("20.00")

    # --- Repeats ---

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_call_made_twice_is_done_once(self, rig: Rig, kind: str) -> None:
        order = order_before(kind, rig)
        first = getattr(order, kind)()
        again = getattr(order, kind)()
        assert (first.kind, again.kind) == ("succeeded", "succeeded")
        assert first.provider_id == again.provider_id
        assert moved(order, kind) == order.amount

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("point", range(4))
    def test_a_process_killed_at_any_point_leaves_nothing_undone_or_done_twice(
        self, rig: Rig, kind: str, point: int
    ) -> None:
        order = order_before(kind, rig)
        try:
            outcome = getattr(order, kind)(kill_at=point)
        except Killed:
            outcome = getattr(order, kind)()
        assert outcome.kind == "succeeded"
        assert moved(order, kind) == order.amount

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_repeat_after_the_provider_forgot_the_key_is_done_once(self, rig: Rig, kind: str) -> None:
        if rig.forget_keys is None:
            pytest.skip("Its provider remembers keys for ever.")
        order = order_before(kind, rig)
        getattr(order, kind)()
        rig.forget_keys()
        assert getattr(order, kind)().kind == "succeeded"
        assert moved(order, kind) == order.amount

    @pytest.mark.parametrize("kind", KINDS)
    def test_an_error_after_success_is_never_a_decline(self, rig: Rig, kind: str) -> None:
        if rig.errors_after is None:
            pytest.skip("Its answers do not fail.")
        order = order_before(kind, rig)
        with rig.errors_after(kind):
            outcome = getattr(order, kind)()
        assert outcome.kind in ("unknown", "succeeded", "not_sent")
        if outcome.kind == "not_sent":
            assert moved(order, kind) == 0
        assert getattr(order, kind)().kind == "succeeded"
        assert moved(order, kind) == order.amount

    def test_a_throttled_call_is_not_sent_and_not_refused(self, rig: Rig) -> None:
        if rig.throttled is None:
            pytest.skip("Its provider does not throttle.")
        order = order_before("capture", rig)
        with rig.throttled("capture"):
            assert order.capture().kind in ("not_sent", "unknown")
        assert order.capture().kind == "succeeded"

    def test_a_look_up_finds_what_was_done_and_nothing_else(self, rig: Rig) -> None:
        order = order_before("capture", rig)
        assert order.find("authorize") is not None
        with pytest.raises(Killed):
            order.capture(kill_at=0)
        assert order.find("capture") is None

    # --- Decided later ---

    @pytest.mark.parametrize("result", ["succeeded", "failed"])
    @pytest.mark.parametrize("way", ["needs_customer", "slow"])
    def test_what_is_decided_later_is_found_decided(self, rig: Rig, way: str, result: str) -> None:
        token = getattr(rig.tokens, way)
        if not token or rig.decide is None:
            pytest.skip("It decides at once.")
        order = Order(rig, token=token)
        waiting = order.authorize()
        assert waiting.kind == {"needs_customer": "action_required", "slow": "pending"}[way]
        assert waiting.provider_id
        if way == "needs_customer":
            assert waiting.action is not None
            assert waiting.action.url or waiting.action.client_secret
            assert waiting.action.pay_by is not None
        assert order.authorize().kind == waiting.kind  # a repeat waits, too
        rig.decide(waiting.provider_id, result)
        decided = order.authorize()
        assert decided.kind == {"succeeded": "succeeded", "failed": "declined"}[result]

    def test_what_is_not_decided_can_be_voided_for_good(self, rig: Rig) -> None:
        if not rig.tokens.needs_customer or not rig.gateway.capabilities.void_undecided:
            pytest.skip("It decides at once.")
        order = Order(rig, token=rig.tokens.needs_customer)
        order.authorize()
        assert order.void().kind == "succeeded"
        assert order.authorize().kind == "declined"
        assert moved(order, "authorize") == moved(order, "void")

    def test_an_authorization_that_expired_counts_as_voided(self, rig: Rig) -> None:
        if rig.decide is None or rig.gateway.capabilities.authorization_expires_after is None:
            pytest.skip("Its authorizations last.")
        order = order_before("void", rig)
        rig.decide(order.id_of("authorize"), "expired")
        assert order.capture().kind == "declined"
        assert order.void().kind == "succeeded"

    def test_a_refund_decided_later_is_pending_until_then(self, rig: Rig) -> None:
        if not rig.tokens.slow_refund or rig.decide is None:
            pytest.skip("It refunds at once.")
        order = Order(rig, token=rig.tokens.slow_refund)
        order.authorize()
        order.capture()
        pending = order.refund()
        assert pending.kind == "pending"
        rig.decide(pending.provider_id, "failed")
        assert order.refund().kind == "declined"
        assert moved(order, "refund") == 0

    # --- Webhooks ---

    def test_webhooks_report_the_calls_in_whatever_order_they_come(self, rig: Rig) -> None:
        if rig.webhooks is None:
            pytest.skip("Its provider sends no webhooks.")
        order = order_before("refund", rig)
        order.refund()
        events = self._events(rig, order.reference, at_least=3)
        about = {event.kind: event for event in events if event.kind in order.rows}
        assert set(about) == {"authorize", "capture", "refund"}
        for kind, event in about.items():
            assert (event.amount, event.currency) == (order.amount, order.currency)
            assert event.key in ("", order.rows[kind].key)
            assert event.outcome == order.rows[kind].outcome
        told = [event for event in events if event.kind in about]
        ends = {tuple(sorted(_applied([*way, *way]).items())) for way in permutations(told)}
        assert ends == {tuple((kind, "succeeded") for kind in sorted(about))}

    def test_a_webhook_with_a_wrong_signature_is_not_genuine(self, rig: Rig) -> None:
        if rig.webhooks is None:
            pytest.skip("Its provider sends no webhooks.")
        order = order_before("refund", rig)
        headers, body = rig.webhooks(order.reference, 1)[0]
        with pytest.raises(NotGenuine):
            rig.gateway.parse_webhook(headers, body + b" ", now=datetime.now(UTC))
        late = datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
        with pytest.raises(NotGenuine):
            rig.gateway.parse_webhook(headers, body, now=late)

    def _events(self, rig: Rig, reference: str, *, at_least: int) -> list[Event]:
        assert rig.webhooks is not None
        events = []
        for headers, body in rig.webhooks(reference, at_least):
            try:
                events.append(rig.gateway.parse_webhook(headers, body, now=datetime.now(UTC)))
            except NotForUs:
                continue
        return events

    # --- Tokens ---

    @pytest.mark.parametrize("token", ["", "x" * 256, "pm_\n", "pm 1", "4242424242424242", "pm_é"])
    def test_what_is_no_token_is_refused(self, rig: Rig, token: str) -> None:
        assert check_opaque(token)
        assert rig.gateway.check_token(token)
        assert not rig.gateway.check_token(rig.tokens.good)


def _applied(events: list[Event]) -> dict[str, str]:
    """Apply events as the ledger does: whatever is decided stays."""
    states: dict[str, str] = {}
    for event in events:
        if states.get(event.kind, "unknown") == "unknown":
            states[event.kind] = event.outcome.kind
    return states
