"""Refunds of parts: units, shipping and amounts, each decided once and carried out once."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission

import faults
from inventory.models import Reservation, StockItem
from orders import batches, commands, journal, steps
from orders.maintenance import audit
from orders.models import Credit, Journey
from payments.gateways import gateway
from payments.models import Transaction
from sandbox.process import SandboxProcess
from tests.factories import make_order, make_product, make_user
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.orders.conftest import Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("audited_shop")]


@pytest.fixture
def api() -> Api:
    operator = make_user(is_staff=True)
    operator.user_permissions.add(Permission.objects.get(codename="refund_order"))
    return Api(operator)


def confirmed_order(*, price: str = "10.00", units: int = 3) -> tuple[int, Any]:
    """Three things at 10.00 and 5.00 for shipping, paid."""
    product = make_product(price=price, units=units)
    order = make_order((product, units))
    work_off()
    return order.order_id, product


def at_provider(order_id: int) -> tuple[Decimal, Decimal]:
    """What the provider took and what it refunded."""
    reference = str(Transaction.objects.filter(order_id=order_id).values_list("reference", flat=True)[0])
    (line,) = [line for line in gateway().ledger() if line.reference == reference]
    return line.captured, line.refunded


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def test_an_order_is_refunded_ten_five_and_the_rest(api: Api) -> None:
    order_id, _ = confirmed_order()
    assert api.refund_state(order_id) == ("none", 0)
    for wanted, left, state in ((10, 25, "partly"), (5, 20, "partly"), (20, 0, "refunded")):
        answer = api.refund(order_id, amount=wanted)
        assert (answer.status_code, answer.json()["left"]) == (202, left)
        work_off()
        assert api.refund_state(order_id) == (state, 35 - left)
    assert at_provider(order_id) == (Decimal("35.00"), Decimal("35.00"))
    assert journey(order_id).status == "confirmed"
    keys = list(Transaction.objects.filter(kind="refund").order_by("number").values_list("key", flat=True))
    assert [key.split(":", 1)[1] for key in keys] == ["refund", "refund:2", "refund:3"]


def test_units_and_shipping_come_to_their_share(api: Api) -> None:
    order_id, product = confirmed_order()
    api.refund(order_id, items=[{"productId": product.pk, "quantity": 2}], shipping=True)
    work_off()
    assert at_provider(order_id)[1] == Decimal("25.00")
    answer = api.refund(order_id, items=[{"sku": product.sku, "quantity": 2}])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"][0]["left"]) == (409, "more_than_left", 1)


def test_a_dry_run_says_what_it_comes_to_and_refunds_nothing(api: Api) -> None:
    order_id, product = confirmed_order()
    answer = api.refund(order_id, items=[{"productId": product.pk, "quantity": 1}], dryRun=True)
    assert (answer.status_code, answer.json()["amount"], answer.json()["left"]) == (200, 10, 25)
    assert not Credit.objects.exists()


def test_no_more_than_is_left_is_refunded(api: Api) -> None:
    order_id, _ = confirmed_order()
    api.refund(order_id, amount=30)
    answer = api.refund(order_id, amount=6)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"][0]["left"]) == (409, "more_than_left", 5)


def test_a_double_click_is_one_refund(api: Api) -> None:
    order_id, _ = confirmed_order()
    key = str(uuid.uuid4())
    first, second = (api.refund(order_id, key, amount=10) for _ in range(2))
    assert first.json() == second.json()
    work_off()
    assert at_provider(order_id)[1] == Decimal("10.00")


def test_two_equal_refunds_are_two(api: Api) -> None:
    order_id, _ = confirmed_order()
    api.refund(order_id, amount=10)
    api.refund(order_id, amount=10)
    work_off()
    assert at_provider(order_id)[1] == Decimal("20.00")
    money = api.refunds(order_id)
    assert (money["captured"], money["refunded"], money["owed"], money["left"]) == (35, 20, 15, 15)
    assert [credit["state"] for credit in money["results"]] == ["refunded", "refunded"]


def test_refunding_does_not_complete_the_order_nor_forget_its_completion(api: Api) -> None:
    order_id, _ = confirmed_order()
    api.refund(order_id, amount=1)
    commands.complete_order(order_id=order_id)
    work_off()
    assert (journey(order_id).status, at_provider(order_id)[1]) == ("completed", Decimal("1.00"))
    api.refund(order_id, amount=1)
    work_off()
    assert (journey(order_id).status, at_provider(order_id)[1]) == ("completed", Decimal("2.00"))


@pytest.mark.parametrize("is_completed", [False, True])
def test_units_go_back_to_stock_and_the_rest_with_the_cancellation(api: Api, is_completed: bool) -> None:
    order_id, product = confirmed_order()
    if is_completed:
        commands.complete_order(order_id=order_id)
    api.refund(order_id, items=[{"productId": product.pk, "quantity": 1}], restock=True)
    item = StockItem.objects.get(product=product)
    assert item.available == 1
    work_off()
    assert [str(v) for v in audit.run().violations] == []
    commands.cancel_order(order_id=order_id, reason="Came back", returning=True)
    work_off()
    item.refresh_from_db()
    assert (item.available, item.sold, Reservation.objects.count()) == (3, 0, 0)
    assert at_provider(order_id) == (Decimal("35.00"), Decimal("35.00"))


def test_a_cancellation_takes_over_what_is_requested(api: Api) -> None:
    order_id, _ = confirmed_order()
    api.refund(order_id, amount=10)
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    work_off()
    assert at_provider(order_id) == (Decimal("35.00"), Decimal("35.00"))
    assert Credit.objects.get().state == "superseded"
    superseded = [event.data for event in journal.events_of(order_id) if event.type == "refund_superseded"]
    assert superseded == [{"credit": 1, "amount": "10.00"}]
    assert api.refund(order_id, amount=1).json()["error"]["code"] == "not_possible"


class Killed(BaseException):
    """The worker is dead."""


@pytest.mark.parametrize(
    "place",
    [
        "refund_credits.before_intent_commit",
        "refund_credits.before_commit",
        "refund_credits.end",
    ],
)
def test_a_worker_that_dies_refunds_once(api: Api, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id, _ = confirmed_order()
    api.refund(order_id, amount=10)

    def point(name: str, /) -> None:
        if name == place:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(faults, "point", point)
        with pytest.raises(Killed):
            work_off()
    make_everything_due()
    work_off()
    assert at_provider(order_id)[1] == Decimal("10.00")
    assert [event.type for event in journal.events_of(order_id)][-2:] == [
        "refund_requested",
        "refund_succeeded",
    ]


def test_a_declined_refund_is_escalated_and_retried_under_a_new_key(
    api: Api, providers: SandboxProcess
) -> None:
    order_id, _ = confirmed_order()
    capture = Transaction.objects.get(order_id=order_id, kind="capture")
    Transaction.objects.filter(order_id=order_id, kind="capture").update(provider_id="cap_of_nobody")
    api.refund(order_id, amount=10)
    work_off()
    assert (Credit.objects.get().state, journey(order_id).due_at) == ("failed", None)
    assert "Refund of 10.00 USD refused by the provider" in journey(order_id).attention
    assert [str(v) for v in audit.run().violations] == []
    Transaction.objects.filter(order_id=order_id, kind="capture").update(provider_id=capture.provider_id)
    commands.retry_order(order_id=order_id)
    work_off()
    attempts = Transaction.objects.filter(kind="refund").order_by("number")
    assert [(t.state, t.attempt, t.key.rpartition("refund")[2]) for t in attempts] == [
        ("declined", 1, ""),
        ("succeeded", 2, ":2"),
    ]
    assert at_provider(order_id)[1] == Decimal("10.00")


def test_the_same_step_twice_refunds_once(api: Api) -> None:
    order_id, _ = confirmed_order()
    api.refund(order_id, amount=10)
    (claimed,) = batches.claim()
    steps.refund_credits(batch_id=claimed.batch_id)
    steps.refund_credits(batch_id=claimed.batch_id)
    assert at_provider(order_id)[1] == Decimal("10.00")


BAD: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({}, 400, "required", "amount"),
    ({"amount": 1, "shipping": True}, 400, "conflicting_fields", "amount"),
    ({"amount": 0}, 400, "nothing_to_refund", None),
    ({"amount": 1, "restock": True}, 400, "required", "items"),
    ({"amount": "1"}, 400, "wrong_type", "amount"),
    ({"amount": 1.005}, 400, "too_many_decimals", "amount"),
    ({"shipping": 5.01}, 409, "more_than_left", "shipping"),
    ({"shipping": -1}, 400, "too_small", "shipping"),
    ({"shipping": 1.005}, 400, "too_many_decimals", "shipping"),
    ({"shipping": 1.0005}, 400, "too_many_decimals", "shipping"),
    ({"items": [{"productId": 0, "quantity": 1}]}, 400, "too_small", "items[0].productId"),
    ({"items": [{"productId": 999999, "quantity": 1}]}, 400, "not_ordered", "items[0].productId"),
    ({"items": [{"quantity": 1}]}, 400, "required", "items[0].productId"),
]


def test_bad_input_is_refused_with_the_field(api: Api) -> None:
    order_id, _ = confirmed_order()
    for body, status, code, field in BAD:
        answer = api.refund(order_id, **body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error.get("field")) == (status, code, field), body


def test_owners_see_refunds_and_cannot_make_any(api: Api) -> None:
    owner = make_user()
    order = make_order((make_product(), 1), owner=owner)
    work_off()
    own = Api(owner)
    assert own.refund(order.order_id, amount=1).status_code == 403
    assert own.refunds(order.order_id)["left"] == 15


@pytest.mark.parametrize("in_parts", [0, 10])
def test_a_cancelled_order_is_refunded_in_full_whatever_parts_were_before(api: Api, in_parts: int) -> None:
    order_id, _ = confirmed_order()
    if in_parts:
        api.refund(order_id, amount=in_parts)
        work_off()
    commands.cancel_order(order_id=order_id, reason="")
    work_off()
    assert journey(order_id).status == "cancelled"
    assert api.refund_state(order_id) == ("refunded", 35)


def test_an_order_settles_when_it_is_confirmed_and_is_completed_later(api: Api) -> None:
    order_id, _ = confirmed_order()
    confirmed = api.get(f"/{order_id}").json()
    assert confirmed["settledAt"] == confirmed["finishedAt"] is not None
    assert confirmed["completedAt"] is None
    commands.complete_order(order_id=order_id)
    completed = api.get(f"/{order_id}").json()
    assert completed["completedAt"] == completed["settledAt"] > confirmed["settledAt"]
