"""The payment gateways: every fault of a provider as an outcome, and no outcome that is not so."""

import uuid
from decimal import Decimal

import pytest

from payments.gateways import LedgerLine, Outcome, PaymentGateway, gateway
from payments.gateways.in_process import InProcessGateway, Memory
from providers.errors import ProviderUnavailable
from providers.http import ProviderClient
from sandbox.process import SandboxProcess, free_port

AMOUNT = Decimal("20.00")


@pytest.fixture
def sandbox(providers_at_sandbox: SandboxProcess) -> SandboxProcess:
    return providers_at_sandbox


@pytest.fixture(params=["http", "in_process"])
def either(request, sandbox) -> PaymentGateway:
    return gateway() if request.param == "http" else InProcessGateway(Memory())


@pytest.fixture
def http(sandbox) -> PaymentGateway:
    return gateway()


class Order:
    """One order's calls, keyed as the payment ledger keys them."""

    def __init__(self, provider: PaymentGateway) -> None:
        self.provider = provider
        self.reference = str(uuid.uuid4())

    def authorize(self, token: str = "tok_visa", amount: Decimal = AMOUNT) -> Outcome:
        return self.provider.authorize(
            key=self.key("authorize"), reference=self.reference, amount=amount, currency="USD", token=token
        )

    def capture(self, authorization: str, key: str = "capture", amount: Decimal = AMOUNT) -> Outcome:
        return self.provider.capture(
            key=self.key(key),
            reference=self.reference,
            authorization=authorization,
            amount=amount,
            currency="USD",
        )

    def void(self, authorization: str, key: str = "void") -> Outcome:
        return self.provider.void(key=self.key(key), reference=self.reference, authorization=authorization)

    def refund(self, capture: str, key: str = "refund") -> Outcome:
        return self.provider.refund(
            key=self.key(key), reference=self.reference, capture=capture, amount=AMOUNT, currency="USD"
        )

    def find(self, key: str) -> Outcome | None:
        return self.provider.find(key=self.key(key))

    def line(self) -> LedgerLine:
        return next(line for line in self.provider.ledger() if line.reference == self.reference)

    def is_in_ledger(self) -> bool:
        return any(line.reference == self.reference for line in self.provider.ledger())

    def key(self, kind: str) -> str:
        return f"{self.reference}:{kind}"


# What any gateway does


def test_it_holds_takes_and_returns_money(either):
    order = Order(either)

    held = order.authorize()
    taken = order.capture(held.provider_id)
    returned = order.refund(taken.provider_id)

    assert {held.kind, taken.kind, returned.kind} == {"succeeded"}
    assert order.line() == LedgerLine(
        reference=order.reference,
        currency="USD",
        authorized=AMOUNT,
        captured=AMOUNT,
        refunded=AMOUNT,
        voided=Decimal(0),
        captures=1,
    )


def test_it_lets_go_of_held_money(either):
    order = Order(either)

    assert order.void(order.authorize().provider_id).kind == "succeeded"
    assert order.line().voided == AMOUNT


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired", "expired_card"),
    ],
)
def test_a_decline_has_its_reason_now_and_later(either, token, code):
    order = Order(either)

    declined = order.authorize(token=token)

    assert (declined.kind, declined.code) == ("declined", code)
    assert order.find("authorize") == declined
    assert not order.is_in_ledger()


def test_a_repeat_is_answered_as_the_first_time_and_done_once(either):
    order = Order(either)
    held = order.authorize()
    first, second = order.capture(held.provider_id), order.capture(held.provider_id)

    assert order.authorize() == held
    assert first == second
    assert order.line().captures == 1


def test_it_finds_by_key_what_was_done_and_nothing_else(either):
    order = Order(either)
    held = order.authorize()

    assert order.find("authorize") == held
    assert order.find("capture") is None


def test_the_one_for_benchmarks_keeps_nothing_and_repeats_itself():
    order = Order(InProcessGateway())

    assert order.authorize() == order.authorize()
    assert order.find("authorize") is None
    assert list(order.provider.ledger()) == []


# A provider in trouble, over HTTP


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ({"errorRate": 1}, None),
        ({"timeoutBeforeRate": 1}, None),
        ({"timeoutAfterRate": 1}, "succeeded"),
        ({"status500AfterRate": 1}, "succeeded"),
        ({"garbageRate": 1}, "succeeded"),
        ({"down": True}, None),
    ],
)
def test_a_call_without_an_answer_is_unknown_until_it_is_looked_up(sandbox, http, script, found):
    order = Order(http)
    sandbox.set_faults("payments", operations=["authorize"], **script)

    assert order.authorize().kind == "unknown"

    sandbox.clear_faults()
    looked_up = order.find("authorize")
    assert (looked_up and looked_up.kind) == found


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
@pytest.mark.parametrize("script", [{"timeoutAfterRate": 1}, {"status500AfterRate": 1}, {"garbageRate": 1}])
def test_every_kind_of_call_bears_a_lost_answer(sandbox, http, kind, script):
    order = Order(http)
    parent = order.authorize().provider_id
    if kind == "refund":
        parent = order.capture(parent).provider_id
    sandbox.set_faults("payments", operations=[kind], **script)

    assert getattr(order, kind)(parent).kind == "unknown"

    sandbox.clear_faults()
    found = order.find(kind)
    assert found == getattr(order, kind)(parent)
    assert found is not None
    assert found.kind == "succeeded"


def test_a_provider_that_cannot_be_reached_was_sent_nothing(settings, http):
    settings.PROVIDERS = {"payments": f"http://127.0.0.1:{free_port()}/payments"}

    assert Order(http).authorize().kind == "not_sent"


def test_nothing_is_sent_while_the_breaker_is_open(sandbox, http):
    sandbox.set_faults("payments", errorRate=1)
    outcomes = [Order(http).authorize().kind for _ in range(5)]

    assert outcomes[-1] == "not_sent"
    tries = sandbox.tries("payments")
    assert Order(http).authorize().kind == "not_sent"
    assert sandbox.tries("payments") == tries


@pytest.mark.parametrize(
    "script", [{"errorRate": 1}, {"garbageRate": 1}, {"timeoutBeforeRate": 1}, {"down": True}]
)
def test_a_look_up_that_fails_never_reads_as_never_seen(sandbox, http, script):
    sandbox.set_faults("payments", **script)

    with pytest.raises(ProviderUnavailable):
        Order(http).find("authorize")


def test_a_look_up_at_a_wrong_address_never_reads_as_never_seen(settings, sandbox, http):
    settings.PROVIDERS = {"payments": f"{sandbox.url}/elsewhere"}

    with pytest.raises(ProviderUnavailable):
        Order(http).find("authorize")


def test_a_ledger_out_of_reach_is_not_an_empty_one(settings, http):
    settings.PROVIDERS = {"payments": f"http://127.0.0.1:{free_port()}/payments"}

    with pytest.raises(ProviderUnavailable):
        list(http.ledger())


# Refusals


def test_what_is_done_already_under_another_key_counts_as_done(http):
    order = Order(http)
    voided = order.authorize().provider_id
    void = order.void(voided)

    assert order.void(voided, key="void again") == void

    order = Order(http)
    taken = order.capture(held := order.authorize().provider_id)
    assert order.capture(held, key="capture again") == taken

    returned = order.refund(taken.provider_id)
    assert order.refund(taken.provider_id, key="refund again") == returned
    assert (order.line().captured, order.line().refunded) == (AMOUNT, AMOUNT)


def test_another_amount_already_taken_does_not_count_as_done(http):
    order = Order(http)
    held = order.authorize().provider_id
    order.capture(held)

    again = order.capture(held, key="capture again", amount=Decimal("19.00"))

    assert (again.kind, again.code) == ("declined", "already_captured")


def test_what_is_done_already_stays_unknown_while_nobody_can_say(sandbox, http):
    order = Order(http)
    held = order.authorize().provider_id
    order.void(held)
    sandbox.set_faults("payments", operations=["lookup"], errorRate=1)

    assert order.void(held, key="void again").kind == "unknown"


def test_a_void_of_what_was_captured_is_declined(http):
    order = Order(http)
    held = order.authorize().provider_id
    order.capture(held)

    assert (order.void(held).kind, order.void(held).code) == ("declined", "already_captured")


def test_the_same_key_for_something_else_is_for_a_person_to_look_at(http):
    order = Order(http)
    order.authorize()

    conflict = order.authorize(amount=Decimal("21.00"))

    assert (conflict.kind, conflict.code) == ("unknown", "idempotency_conflict")


# Answers that no provider should give


@pytest.mark.parametrize(
    "provider_id", ["", "x" * 65, "a\0b", "\ud800", None, True, [], {}, 10**30], ids=repr
)
def test_an_operation_without_a_usable_id_leaves_us_in_doubt(provider_id, monkeypatch):
    answer = {"status": "succeeded", "id": provider_id}
    monkeypatch.setattr(ProviderClient, "make", lambda *_: answer)
    assert Order(gateway()).authorize().kind == "unknown"


@pytest.mark.parametrize(
    "answer", [None, [], 7, "done", {"status": []}, {"id": "a"}, {"status": "gift", "id": "a"}]
)
def test_an_answer_that_is_no_operation_leaves_us_in_doubt(answer, monkeypatch):
    monkeypatch.setattr(ProviderClient, "make", lambda *_: answer)
    order = Order(gateway())
    assert order.authorize().kind == "unknown"
    with pytest.raises(ProviderUnavailable):
        order.find("authorize")


@pytest.mark.parametrize("amount", ["NaN", "1e400", "-Infinity", "9" * 40, "", None, [], True, {}], ids=repr)
def test_a_line_of_the_ledger_that_cannot_be_read_keeps_its_reference(amount, monkeypatch):
    line = {
        "reference": "r",
        "currency": "USD",
        "authorized": amount,
        "captured": "1",
        "refunded": "0",
        "captures": 1,
    }
    monkeypatch.setattr(ProviderClient, "lines", lambda *_: iter([line, None, [], "text"]))
    first, *others = gateway().ledger()
    assert (first.reference, first.flaw) == ("r", "authorized is no amount")
    assert all(other.reference == "" and other.flaw for other in others)
