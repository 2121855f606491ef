"""Authorizations expire: staff see it coming, what is left is refused afterwards, and nothing stays held for ever."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from board import customer
from notifications.mail import compose
from notifications.models import Kind, Notification
from orders import commands, journal
from orders.maintenance import archive
from orders.maintenance.expiry import ExpiryWatch
from orders.models import ArchivedOrder, Journey, Order
from orders.operators import actions, money_at_risk
from orders.operators.explain import explain
from orders.reporting import analytics
from payments.models import Transaction
from sandbox.process import SandboxProcess
from scheduling.slots import database_now
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.orders.conftest import Api
from tests.orders.test_captures import at_provider, error_of, rows

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("audited_shop")]

EXPIRED = (409, "authorization_expired", None)


@pytest.fixture(autouse=True)
def seven_days(settings) -> None:
    settings.PAYMENT_AUTHORIZATION_DAYS, settings.AUTHORIZATION_ALERT_HOURS = 7, 24


def authorization(order_id: int) -> Transaction:
    return Transaction.objects.get(order_id=order_id, kind="authorize")


def age(order_id: int, **ago: float) -> None:
    Transaction.objects.filter(order_id=order_id, kind="authorize").update(
        finished_at=database_now() - timedelta(**ago)
    )


def expire(provider: SandboxProcess, order_id: int) -> None:
    """Have the time pass, here and at the provider."""
    provider.expire(authorization(order_id).provider_id)
    age(order_id, days=7)


def watch() -> None:
    ExpiryWatch().look()


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def types(order_id: int) -> list[str]:
    return [event.type for event in journal.events_of(order_id)]


def until(staff: Api, order_id: int) -> list[datetime | None]:
    """The end as the order has it, and as its captures have it."""
    bodies = (staff.get(f"/{order_id}").json(), staff.captures(order_id))
    ends = [body["authorizationExpiresAt"] for body in bodies]
    return [datetime.fromisoformat(end) if end else None for end in ends]


def test_an_order_has_until_when_its_payment_is_held(staff: Api, confirmed: int, settings) -> None:
    authorized_at = authorization(confirmed).finished_at
    assert authorized_at is not None
    assert until(staff, confirmed) == [authorized_at + timedelta(days=7)] * 2
    settings.PAYMENT_AUTHORIZATION_DAYS = 0
    assert until(staff, confirmed) == [None] * 2
    settings.PAYMENT_AUTHORIZATION_DAYS = 7
    staff.capture(confirmed)
    work_off()
    assert until(staff, confirmed) == [None] * 2


def test_it_needs_attention_a_day_before_until_it_is_captured(staff: Api, confirmed: int) -> None:
    age(confirmed, days=5, hours=23)
    watch()
    assert journey(confirmed).attention == ""
    age(confirmed, days=6, hours=1)
    watch()
    watch()
    assert journey(confirmed).attention.startswith(
        "Authorization expires: 35.00 USD is not captured, held until 20"
    )
    assert types(confirmed).count("attention_needed") == 1
    order = Order.objects.select_related("journey").get(pk=confirmed)
    assert "Capture the rest while it is held" in explain(order).text
    staff.capture(confirmed)
    work_off()
    assert (journey(confirmed).payment, journey(confirmed).attention) == ("captured", "")


def test_what_is_left_is_refused_once_it_has_expired(
    staff: Api, confirmed: int, providers: SandboxProcess, admin_client: Client
) -> None:
    desk_page = f"/admin/orders/order/{confirmed}/change/"
    staff.capture(confirmed, amount=10)
    work_off()
    expire(providers, confirmed)
    assert error_of(staff.capture(confirmed, amount=5)) == EXPIRED
    watch()
    watch()
    assert error_of(staff.capture(confirmed, amount=5)) == EXPIRED
    found = journey(confirmed)
    assert (found.status, found.payment, found.due_at) == ("confirmed", "expired", None)
    assert found.attention == "Authorization expires: 25.00 USD was not captured, and is held no more"
    listed = staff.captures(confirmed)
    assert (listed["captured"], listed["left"], listed["authorizationExpiresAt"]) == (10, 0, None)
    assert types(confirmed).count("authorization_expired") == 1
    assert at_provider(confirmed) == (10, 0, 0, 1)
    order = Order.objects.select_related("journey").get(pk=confirmed)
    assert customer.story(order).endswith("ships. You were charged $10.00.")
    assert customer.effect_of_cancelling(order) == "You'll be refunded $10.00."
    assert "25.00 USD is held no more" in admin_client.get(desk_page).content.decode()
    commands.complete_order(order_id=confirmed)
    sequence = journal.events_of(confirmed)[-1].sequence
    (mail,) = compose([Notification(order=order, kind=Kind.COMPLETED, sequence=sequence)])
    assert "You were charged $10.00." in " ".join(mail.text.split())


def test_one_of_which_nothing_was_captured_is_not_charged(
    staff: Api, confirmed: int, providers: SandboxProcess
) -> None:
    expire(providers, confirmed)
    watch()
    order = Order.objects.select_related("journey").get(pk=confirmed)
    assert customer.story(order).endswith("ships. You were not charged.")
    assert customer.effect_of_cancelling(order) == "Nothing has been charged yet."


def test_what_was_captured_is_refunded_and_archived_as_ever(
    staff: Api,
    confirmed: int,
    providers: SandboxProcess,
) -> None:
    staff.capture(confirmed, amount=10)
    work_off()
    expire(providers, confirmed)
    watch()
    staff.refund(confirmed, amount=4)
    work_off()
    assert (journey(confirmed).payment, staff.refund_state(confirmed)) == ("expired", ("partly", 4))
    commands.retry_order(order_id=confirmed)
    commands.complete_order(order_id=confirmed)
    list(archive.move(before=database_now()))
    assert ArchivedOrder.objects.get(pk=confirmed).kept_amount == 6


def cancelling(order_id: int) -> list[str]:
    """Return what the desk says that cancelling an order would do."""
    order = Order.objects.select_related("journey").get(pk=order_id)
    (found,) = actions.previews(actions.OPERATIONS["cancel"], [order])
    return [str(effect) for effect in found.effects]


def test_cancelling_is_previewed_with_what_is_captured_and_what_is_held(
    staff: Api, confirmed: int, providers: SandboxProcess
) -> None:
    units = "Releases 3 units."
    assert cancelling(confirmed) == ["Voids the 35.00 USD authorization.", units]
    staff.capture(confirmed, amount=10)
    work_off()
    assert cancelling(confirmed) == ["Refunds 10.00 USD.", "Voids the 25.00 USD authorization.", units]
    expire(providers, confirmed)
    watch()
    assert cancelling(confirmed) == ["Refunds 10.00 USD.", units]
    uncaptured = staff.place().json()["id"]
    work_off()
    expire(providers, uncaptured)
    watch()
    assert cancelling(uncaptured) == ["No payment to reverse.", units]


def sold() -> tuple[Decimal, Decimal]:
    """Return the revenue of all orders, and of their products."""
    now = database_now()
    found = analytics.analyse(analytics.Span(now - timedelta(hours=1), now + timedelta(hours=1)), unit="day")
    return (
        sum((period.revenue for period in found.periods), Decimal(0)),
        sum((product.revenue for product in found.top_products), Decimal(0)),
    )


def test_revenue_is_what_was_captured_without_refunds(
    staff: Api, confirmed: int, providers: SandboxProcess
) -> None:
    other = staff.place().json()["id"]
    work_off()
    assert sold() == (Decimal(0), Decimal(0))
    staff.capture(other)
    staff.capture(confirmed, amount=10)
    work_off()
    assert sold() == (Decimal(45), Decimal("38.57"))  # of 30.00 for goods, with 10.00 of 35.00 captured
    expire(providers, confirmed)
    watch()
    staff.refund(confirmed, amount=4)
    work_off()
    assert sold() == (Decimal(41), Decimal("35.81"))
    row = staff.exported(confirmed)
    assert (row["totalAmount"], row["capturedAmount"], row["refundedAmount"]) == (35, 10, 4)
    assert staff.exported(other)["capturedAmount"] == 35
    assert staff.refunds(confirmed)["owed"] == 6
    commands.retry_order(order_id=confirmed)
    order = Order.objects.select_related("journey").get(pk=confirmed)
    assert "4.00 of 10.00 USD is refunded" in explain(order).text


def test_what_is_at_risk_of_a_cancellation_is_what_customers_are_owed(
    staff: Api, confirmed: int, providers: SandboxProcess
) -> None:
    for amount in (10, 20):
        staff.capture(confirmed, amount=amount)
        work_off()
    staff.refund(confirmed, amount=4)
    work_off()
    providers.set_faults("payments", errorRate=1.0)
    commands.cancel_order(order_id=confirmed, reason="Changed mind")
    work_off()
    assert {risk.amount for risk in money_at_risk.at_risk()} == {31}
    Journey.objects.filter(order_id=confirmed).update(payment="expired")
    assert {risk.amount for risk in money_at_risk.at_risk()} == {6, 20}
    Journey.objects.filter(order_id=confirmed).update(payment="held")
    providers.clear_faults()
    make_everything_due()
    work_off()


@pytest.mark.parametrize("captured", [0, 10])
def test_a_cancellation_voids_nothing_more(
    staff: Api,
    confirmed: int,
    providers: SandboxProcess,
    captured: int,
) -> None:
    if captured:
        staff.capture(confirmed, amount=captured)
        work_off()
    expire(providers, confirmed)
    watch()
    commands.cancel_order(order_id=confirmed, reason="Nothing left to take")
    work_off()
    assert journey(confirmed).payment == ("refunded" if captured else "voided")
    assert rows("void", "code") == [("authorization_expired",)]
    assert at_provider(confirmed) == (captured, captured, 0, int(captured > 0))


def test_a_provider_may_expire_it_earlier_than_its_gateway_declares(
    staff: Api,
    confirmed: int,
    providers: SandboxProcess,
) -> None:
    providers.expire(authorization(confirmed).provider_id)
    assert staff.capture(confirmed, amount=10).status_code == 202
    work_off()
    assert (journey(confirmed).payment, journey(confirmed).due_at) == ("expired", None)
    assert (
        "Capture of 10.00 USD refused by the provider: authorization_expired" in journey(confirmed).attention
    )
    assert error_of(staff.capture(confirmed, amount=10)) == EXPIRED


def test_an_expired_authorization_counts_as_voided(confirmed: int, providers: SandboxProcess) -> None:
    providers.expire(authorization(confirmed).provider_id)
    commands.cancel_order(order_id=confirmed, reason="Changed mind")
    work_off()
    assert (journey(confirmed).status, journey(confirmed).payment) == ("cancelled", "voided")
