"""Payments that the customer or the bank decides: orders wait in peace, go on, or end when the time is over."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from orders import commands
from orders.maintenance import audit
from orders.maintenance.deadlines import DeadlineWatch
from orders.models import Journey, OrderEvent
from orders.operators.explain import explain
from orders.placing.single import Placed
from orders.queries import any_by_reference
from orders.refunding import reversals
from orders.status import Status
from orders.waits import resume
from payments.gateways.protocol import Outcome
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.fixtures.undecided import BANK, CUSTOMER, SECRET, UndecidedGateway

pytestmark = pytest.mark.django_db(transaction=True)

PAID = Outcome("succeeded")


@pytest.fixture(autouse=True)
def shop(provider: UndecidedGateway):
    make_shipping()
    yield
    assert [str(violation) for violation in audit.run().violations] == []


def ordered(token: str = CUSTOMER, **how: Any) -> Placed:
    order = make_order((make_product(), 1), token=token, **how)
    work_off()
    return order


def journey(order: Placed) -> Journey:
    return Journey.objects.get(order_id=order.order_id)


def minutes_until_due(order: Placed) -> float:
    due_at = journey(order).due_at
    assert due_at is not None
    return (due_at - database_now()).total_seconds() / 60


def time_to_pay_is_over(provider: UndecidedGateway, order: Placed) -> None:
    """The provider's answers have the same time, which lies in the past now."""
    provider.pay_by = database_now() - timedelta(seconds=1)
    entry = Transaction.objects.get(order_id=order.order_id, kind="authorize")
    Transaction.objects.filter(pk=entry.pk).update(
        action=(entry.action or {}) | {"payBy": provider.pay_by.isoformat()}
    )
    for key, known in provider._entries.items():
        if known.reference == str(order.uuid) and known.outcome.action:
            action = known.outcome.action._replace(pay_by=provider.pay_by)
            provider._entries[key] = known._replace(outcome=known.outcome._replace(action=action))
    make_everything_due()
    work_off()


@pytest.mark.parametrize(("token", "code"), [(CUSTOMER, "payment_customer"), (BANK, "payment_bank")])
def test_it_waits_for_who_decides_with_its_stock_held_and_no_attempt_counted(token, code):
    order = ordered(token)
    for _ in range(12):
        make_everything_due()
        work_off()
    waiting = journey(order)
    assert (waiting.status, waiting.waiting_for, waiting.stock) == (Status.PROCESSING, code, "reserved")
    assert (waiting.batch_id, waiting.attention, waiting.attempts) == (None, "", 0)
    assert OrderEvent.objects.filter(order_id=order.order_id, type="order_waiting").count() == 1
    told = explain(any_by_reference(str(order.order_id)))
    assert told.situation == code
    assert "is not decided yet" in told.why
    assert "it is voided and the order cancelled" in told.why


def test_it_is_looked_up_at_the_next_check_or_at_the_time_to_pay_whichever_is_first(provider):
    provider.check_after = timedelta(minutes=10)
    assert 9 < minutes_until_due(ordered()) <= 10
    provider.check_after = timedelta(days=3)
    assert 59 < minutes_until_due(ordered()) <= 60
    provider.pay_by = None
    assert 700 < minutes_until_due(ordered(BANK)) <= 720


def test_a_look_up_that_does_not_repeat_the_time_to_pay_leaves_it(provider):
    provider.check_after = timedelta(hours=6)
    order = ordered(BANK)
    for key, entry in provider._entries.items():
        provider._entries[key] = entry._replace(outcome=entry.outcome._replace(action=None))
    make_everything_due()
    work_off()
    assert 59 < minutes_until_due(order) <= 60


def test_neither_deadlines_nor_a_provider_that_is_back_nor_a_clock_disturb_it(provider):
    provider.check_after = timedelta(hours=6)
    provider.pay_by = database_now() + timedelta(days=2)
    order = ordered(BANK)
    OrderEvent.objects.filter(order_id=order.order_id).update(at=database_now() - timedelta(days=2))
    resume.resume_waiting("payments")
    DeadlineWatch().look()
    assert journey(order).attention == ""
    assert minutes_until_due(order) > 300

    OrderEvent.objects.filter(order_id=order.order_id).update(at=database_now() - timedelta(days=31))
    DeadlineWatch().look()
    assert journey(order).attention == "payment_bank for over 43200 minutes"


def test_once_the_time_to_pay_is_over_it_is_looked_up_voided_and_cancelled(provider):
    order = ordered()
    before = provider.lookups
    time_to_pay_is_over(provider, order)
    ended = journey(order)
    assert (ended.status, ended.reason) == (Status.CANCELLED, "payment_not_completed")
    assert (ended.stock, ended.payment) == ("released", "voided")
    assert provider.lookups > before
    assert Transaction.objects.get(order_id=order.order_id, kind="authorize").state == "declined"


def test_one_paid_at_the_last_moment_is_found_by_the_last_look_up(provider):
    order = ordered()
    provider.decide(order.uuid, PAID)
    time_to_pay_is_over(provider, order)
    assert journey(order).status == Status.CONFIRMED


def test_news_make_it_due_at_once(provider):
    order = ordered()
    provider.decide(order.uuid, PAID)
    reversals.record_news(Transaction.objects.get(order_id=order.order_id), PAID)
    assert minutes_until_due(order) <= 0
    work_off()
    assert journey(order).status == Status.CONFIRMED


def test_news_that_overtake_the_answer_to_a_look_up_are_not_forgotten(provider, monkeypatch):
    order = ordered()
    find = type(provider).find

    def overtaken(self: UndecidedGateway, **how: Any) -> Outcome | None:
        found = find(self, **how)
        if found is not None and found.kind == "action_required":
            self.decide(order.uuid, PAID)
            reversals.record_news(Transaction.objects.get(order_id=order.order_id), PAID)
        return found

    monkeypatch.setattr(type(provider), "find", overtaken)
    make_everything_due()
    work_off()
    assert journey(order).status == Status.CONFIRMED


def test_one_without_stock_is_rejected_at_once_and_voided(provider):
    order = make_order((make_product(units=0), 1), token=CUSTOMER)
    work_off()
    assert (journey(order).status, journey(order).reason) == (Status.REJECTED, "out_of_stock")
    assert provider.balance(order.uuid)[0] == 0


def test_cancelled_while_it_waits_it_waits_for_nobody(provider):
    order = ordered()
    commands.cancel_order(order_id=order.order_id, reason="Changed my mind")
    assert journey(order).waiting_for == ""
    work_off()
    assert journey(order).status == Status.CANCELLED


def test_the_next_action_is_told_to_the_owner_and_on_the_track_page_only(caplog):
    owner, staff = make_user(), make_user(is_staff=True)
    with caplog.at_level(logging.DEBUG):
        order = ordered(owner=owner)
    client = APIClient()
    client.force_authenticate(owner)
    told = client.get(f"/api/orders/{order.order_id}").json()
    assert told["waitingFor"] == "payment_customer"
    assert told["paymentAction"]["url"] == "https://bank.example/confirm"
    assert told["paymentAction"]["clientSecret"] == SECRET
    assert told["paymentAction"]["payBy"].startswith("20")
    browser = Client()
    browser.force_login(owner)
    page = browser.get(f"/track/{order.uuid}", follow=True).content.decode()
    assert 'href="https://bank.example/confirm"' in page

    client.force_authenticate(staff)
    addresses = (f"/{order.order_id}", "", f"/{order.order_id}/explanation", f"/{order.order_id}/events")
    others = [client.get(f"/api/orders{address}") for address in addresses]
    assert {answer.status_code for answer in others} == {200}
    events = list(OrderEvent.objects.values_list("data", flat=True))
    everything = " ".join([*(answer.content.decode() for answer in others), str(events), caplog.text])
    assert "bank.example" not in everything
    assert SECRET not in everything
    assert "paymentAction" not in everything
