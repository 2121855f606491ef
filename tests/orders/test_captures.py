"""Captures by staff: in parts, up to what is authorized, each decided once and carried out once."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.template.loader import render_to_string

import faults
from board import customer
from notifications import mail
from orders import commands, journal
from orders.http import requests
from orders.maintenance import archive, audit
from orders.models import Credit, Journey, Order, OrderEvent
from orders.payment import captures
from orders.refunding import capturing
from payments.gateways import gateway
from payments.gateways.http import HttpGateway
from payments.gateways.protocol import Capabilities
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_user
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.orders.conftest import Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("audited_shop")]


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def at_provider(order_id: int) -> tuple[Any, ...]:
    """What the provider captured, refunded and holds, and in how many captures."""
    reference = str(Order.objects.get(pk=order_id).uuid)
    (line,) = [line for line in gateway().ledger() if line.reference == reference]
    return line.captured, line.refunded, line.authorized - line.captured - line.voided, line.captures


def rows(kind: str, *names: str) -> list[Any]:
    return list(Transaction.objects.filter(kind=kind).order_by("number").values_list(*names))


def error_of(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("field")


# --- In parts ---------------------------------------------------------------------------------------------


def test_an_order_is_captured_ten_five_and_the_rest(staff: Api, confirmed: int) -> None:
    assert at_provider(confirmed) == (0, 0, 35, 0)
    for given, amount, left in ((10, 10, 25), (5, 5, 20), (None, 20, 0)):
        answer = staff.capture(confirmed, amount=given) if given else staff.capture(confirmed)
        wanted = (202, amount, left)
        assert (answer.status_code, answer.json()["amount"], answer.json()["left"]) == wanted
        work_off()
    assert at_provider(confirmed) == (35, 0, 0, 3)
    keys = [key.split(":", 1)[1] for (key,) in rows("capture", "key")]
    assert keys == ["capture", "capture:2", "capture:3"]
    assert (journey(confirmed).payment, journey(confirmed).due_at) == ("captured", None)
    listed = staff.captures(confirmed)
    assert (listed["authorized"], listed["captured"], listed["left"]) == (35, 35, 0)
    assert [(each["number"], each["state"]) for each in listed["results"]] == [
        (1, "succeeded"),
        (2, "succeeded"),
        (3, "succeeded"),
    ]
    types = [event.type for event in journal.events_of(confirmed)]
    assert types.index("order_confirmed") < types.index("capture_requested")
    assert types[-3:] == ["capture_requested", "capture_succeeded", "payment_captured"]
    refused = staff.capture(confirmed)
    assert error_of(refused) == (409, "not_possible", None)
    assert refused.json()["error"]["message"] == "The order is already captured in full."


def test_a_double_click_is_one_capture(staff: Api, confirmed: int) -> None:
    key = str(uuid.uuid4())
    first = staff.capture(confirmed, key, amount=10)
    work_off()
    assert staff.capture(confirmed, key, amount=10).json() == first.json()
    work_off()
    assert at_provider(confirmed) == (10, 0, 25, 1)


def test_one_capture_is_under_way_at_a_time(staff: Api, confirmed: int) -> None:
    staff.capture(confirmed, amount=10)
    assert error_of(staff.capture(confirmed, amount=10)) == (409, "capture_under_way", None)
    assert (staff.captures(confirmed)["pending"], staff.captures(confirmed)["left"]) == (10, 25)
    work_off()
    assert staff.capture(confirmed, amount=10).status_code == 202
    work_off()
    assert at_provider(confirmed) == (20, 0, 15, 2)


def test_a_dry_run_captures_nothing(staff: Api, confirmed: int) -> None:
    answer = staff.capture(confirmed, amount=10, dryRun=True)
    assert (answer.status_code, answer.json()["number"], answer.json()["left"]) == (200, None, 25)
    work_off()
    assert rows("capture", "number") == []


def test_no_more_than_is_held_is_captured(staff: Api, confirmed: int) -> None:
    staff.capture(confirmed, amount=30)
    work_off()
    for body, wanted in (
        ({"amount": 5.01}, (409, "more_than_left", "amount")),
        ({"amount": 0}, (409, "more_than_left", "amount")),
        ({"amount": 1.005}, (400, "too_many_decimals", "amount")),
        ({"amount": "1"}, (400, "wrong_type", "amount")),
    ):
        assert error_of(staff.capture(confirmed, **body)) == wanted


# --- Who may, and where -----------------------------------------------------------------------------------


def test_an_order_that_is_captured_at_once_is_not_captured_by_staff(staff: Api) -> None:
    order_id = staff.place(capture="now").json()["id"]
    work_off()
    assert at_provider(order_id) == (35, 0, 0, 1)
    assert error_of(staff.capture(order_id, amount=1)) == (409, "not_possible", None)


def test_owners_see_captures_and_cannot_make_any(staff: Api) -> None:
    owner = make_user()
    assert error_of(Api(owner).place()) == (403, "permission_denied", "capture")
    owner.user_permissions.add(Permission.objects.get(codename="price_order"))
    own = Api(User.objects.get(pk=owner.pk))
    order_id = own.place().json()["id"]
    work_off()
    assert own.capture(order_id).status_code == 403
    assert own.captures(order_id)["left"] == 35


def test_a_gateway_that_captures_once_is_refused(staff: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpGateway, "capabilities", Capabilities(partial_capture=True))
    assert error_of(staff.place()) == (400, "capture_not_supported", "capture")


def test_a_bulk_line_with_it_is_read_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "read", lambda *_: pytest.fail("the slow way"))
    line = b'{"customerName": "A", "items": [{"productId": 1, "quantity": 1}], "capture": "later"}'
    assert requests.read_bulk_order(line).capture == "later"


# --- Refunds and cancellations ----------------------------------------------------------------------------


def test_a_refund_larger_than_a_capture_is_split_over_captures(staff: Api, confirmed: int) -> None:
    for amount in (10, 5):
        staff.capture(confirmed, amount=amount)
        work_off()
    assert staff.refund(confirmed, amount=15.01).json()["error"]["code"] == "more_than_left"
    for amount in (4, 9):
        assert staff.refund(confirmed, amount=amount).status_code == 202
        work_off()
    refunds = [(int(amount), parent) for amount, parent in rows("refund", "amount", "parent")]
    assert refunds == [(4, 2), (6, 2), (3, 12)]
    assert at_provider(confirmed) == (15, 13, 20, 2)
    assert {credit.state for credit in Credit.objects.all()} == {"refunded"}
    succeeded = OrderEvent.objects.filter(order_id=confirmed, type="refund_succeeded").order_by("sequence")
    assert [event.data["amount"] for event in succeeded] == ["4.00", "9.00"]
    assert journey(confirmed).payment == "held"
    staff.capture(confirmed)
    work_off()
    assert at_provider(confirmed) == (35, 13, 0, 3)
    assert journey(confirmed).payment == "captured"


def test_it_is_refunded_once_all_that_was_captured_is(staff: Api, confirmed: int) -> None:
    staff.capture(confirmed, amount=10)
    work_off()
    for amount, state in ((4, ("partly", 4)), (6, ("refunded", 10))):
        staff.refund(confirmed, amount=amount)
        work_off()
        assert staff.refund_state(confirmed) == state
    staff.capture(confirmed)
    work_off()
    assert staff.refund_state(confirmed) == ("partly", 10)


def test_a_cancellation_refunds_no_more_than_was_captured(staff: Api, confirmed: int) -> None:
    staff.capture(confirmed, amount=10)
    work_off()
    commands.cancel_order(order_id=confirmed, reason="Changed mind")
    work_off()
    assert staff.refund_state(confirmed) == ("refunded", 10)


def test_a_capture_and_a_refund_wait_for_each_other(staff: Api, confirmed: int) -> None:
    staff.capture(confirmed, amount=20)
    work_off()
    staff.refund(confirmed, amount=5)
    staff.capture(confirmed, amount=15)
    work_off()
    assert at_provider(confirmed) == (35, 5, 0, 2)
    assert journey(confirmed).payment == "captured"


@pytest.mark.parametrize("captured", [0, 10, 35])
def test_a_cancellation_refunds_what_is_captured_and_releases_the_rest(
    staff: Api, confirmed: int, captured: int
) -> None:
    for _ in range(2 if captured else 0):
        staff.capture(confirmed, amount=captured / 2)
        work_off()
    commands.cancel_order(order_id=confirmed, reason="Changed mind")
    work_off()
    assert at_provider(confirmed) == (captured, captured, 0, 2 if captured else 0)
    assert [int(amount) for (amount,) in rows("void", "amount")] == ([35 - captured] if captured < 35 else [])
    assert journey(confirmed).payment == ("refunded" if captured else "voided")
    story = customer.story(Order.objects.select_related("journey").get(pk=confirmed))
    assert f"${captured or 35}.00" in story


def test_a_completed_order_is_captured_too_and_archived_once_it_is(staff: Api, confirmed: int) -> None:
    commands.complete_order(order_id=confirmed)
    assert list(archive.move(before=database_now())) == [] or Order.objects.filter(pk=confirmed).exists()
    staff.capture(confirmed, amount=5)
    work_off()
    staff.capture(confirmed)
    work_off()
    assert (journey(confirmed).status, journey(confirmed).payment) == ("completed", "captured")
    list(archive.move(before=database_now()))
    assert not Order.objects.filter(pk=confirmed).exists()


# --- Trouble ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The worker is dead."""


@pytest.mark.parametrize(
    "place",
    ["refund_credits.before_intent_commit", "refund_credits.before_commit", "refund_credits.end"],
)
def test_a_worker_that_dies_captures_once(
    staff: Api, confirmed: int, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    staff.capture(confirmed, amount=10)

    def point(name: str, /) -> None:
        if name == place:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(faults, "point", point)
        with pytest.raises(Killed):
            work_off()
    make_everything_due()
    work_off()
    assert at_provider(confirmed) == (10, 0, 25, 1)
    types = [event.type for event in journal.events_of(confirmed)]
    assert types[-2:] == ["capture_requested", "capture_succeeded"]


def test_a_declined_capture_needs_attention_and_takes_nothing(staff: Api, confirmed: int) -> None:
    held = Transaction.objects.get(order_id=confirmed, kind="authorize")
    Transaction.objects.filter(order_id=confirmed, kind="authorize").update(provider_id="auth_of_nobody")
    staff.capture(confirmed, amount=10)
    work_off()
    assert (journey(confirmed).payment, journey(confirmed).due_at) == ("held", None)
    assert "Capture of 10.00 USD refused by the provider" in journey(confirmed).attention
    Transaction.objects.filter(order_id=confirmed, kind="authorize").update(provider_id=held.provider_id)
    commands.retry_order(order_id=confirmed)
    work_off()
    staff.capture(confirmed, amount=10)
    work_off()
    assert rows("capture", "state") == [("declined",), ("succeeded",)]
    assert at_provider(confirmed) == (10, 0, 25, 1)


def break_refund_of_a_capture(order_id: int) -> None:
    Transaction.objects.filter(order_id=order_id, kind="refund").update(parent=12)


def break_sum_of_captures(order_id: int) -> None:
    Transaction.objects.filter(order_id=order_id, kind="capture", number=12).update(amount=26)


@pytest.mark.parametrize(
    ("breaks", "check"),
    [
        (break_refund_of_a_capture, "Money: no more of a capture is refunded than it took"),
        (break_sum_of_captures, "Money: no more is captured than was authorized"),
    ],
)
def test_the_audit_proves_the_sums(
    staff: Api, confirmed: int, breaks: Callable[[int], None], check: str
) -> None:
    for amount in (10, 5):
        staff.capture(confirmed, amount=amount)
        work_off()
    staff.refund(confirmed, amount=8)
    work_off()
    before = list(Transaction.objects.values("number", "parent", "amount"))
    breaks(confirmed)
    assert check in {violation.check for violation in audit.run(with_ledger=False).violations}
    for row in before:
        Transaction.objects.filter(number=row["number"]).update(parent=row["parent"], amount=row["amount"])


# --- What customers read ----------------------------------------------------------------------------------


def test_customers_read_that_it_is_authorized_and_not_paid(confirmed: int, settings) -> None:
    settings.SHOP_LANGUAGE = "en-us"
    order = Order.objects.select_related("journey").get(pk=confirmed)
    assert "the payment of $35.00 is authorized" in customer.story(order)
    events = list(OrderEvent.objects.filter(order_id=confirmed, type="order_confirmed"))
    context = mail._context(order, list(order.lines.all()), events)
    for kind in ("txt", "html"):
        text = render_to_string(f"notifications/confirmed.{kind}", context)
        assert "the payment is authorized" in text
        assert "confirmed and paid" not in text


def test_an_order_that_is_captured_at_once_has_no_further_statement(staff: Api) -> None:
    statement = Order.objects._one[False, False]
    assert "payment_gateway, external_reference" in statement
    assert "%(payment)s" not in statement


def test_what_is_asked_for_is_decided_under_the_lock(staff: Api, confirmed: int) -> None:
    first = capturing.capture_part(order_id=confirmed, amount=Decimal(30))
    with pytest.raises(captures.CaptureUnderWay):
        capturing.capture_part(order_id=confirmed, amount=Decimal(30))
    work_off()
    with pytest.raises(capturing.MoreThanHeld):
        capturing.capture_part(order_id=confirmed, amount=Decimal(30))
    assert (first, at_provider(confirmed)) == (1, (30, 0, 5, 1))
