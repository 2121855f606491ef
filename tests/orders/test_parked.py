"""Orders that wait for the payment provider go on as soon as its breaker has closed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orders.legs import LOST_STEP, PAYMENT
from orders.models import Journey
from orders.waits import resume
from orders.waits.resume import ProviderWatch
from providers.breaker import Admission, breaker
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = [pytest.mark.django_db(transaction=True)]


def parked_order(waiting_for: str = PAYMENT.PROVIDER_AWAY, *, seconds: float = 60) -> int:
    order_id = make_order((make_product(), 1)).order_id
    due_at = timezone.now() + timedelta(seconds=seconds)
    Journey.objects.filter(pk=order_id).update(status="processing", waiting_for=waiting_for, due_at=due_at)
    return order_id


def seconds_until_due(order_id: int) -> float:
    due_at = Journey.objects.get(pk=order_id).due_at
    assert due_at is not None
    return (due_at - timezone.now()).total_seconds()


@pytest.fixture
def watch(monkeypatch):
    """A watch that looks each time it is asked to, at a breaker that is open."""
    monkeypatch.setattr(resume, "POLL_SECONDS", 0.0)
    breaker("payments").reset()
    for _ in range(10):
        breaker("payments").record(Admission(allowed=True), ok=False)
    watch = ProviderWatch()
    watch.look()
    assert breaker("payments").state().state == "open"
    yield watch
    breaker("payments").reset()


def close_the_breaker() -> None:
    breaker("payments").invite()
    breaker("payments").record(breaker("payments").admit(), ok=True)
    assert breaker("payments").state().state == "closed"


@pytest.mark.parametrize("waiting_for", [PAYMENT.PROVIDER_AWAY, PAYMENT.OUTCOME_UNKNOWN])
def test_what_waits_for_the_provider_is_due_when_its_breaker_closes(watch, waiting_for):
    order_id = parked_order(waiting_for)
    close_the_breaker()
    watch.look()
    assert seconds_until_due(order_id) <= 0


def test_nothing_is_hurried_while_the_breaker_is_open_or_has_never_been(watch):
    order_id = parked_order()
    watch.look()
    close_the_breaker()
    ProviderWatch().look()
    assert seconds_until_due(order_id) > 30


def test_what_waits_for_something_else_goes_on_waiting(watch):
    lost, travelling = parked_order(LOST_STEP), parked_order()
    Journey.objects.filter(pk=travelling).update(batch_id=1)
    close_the_breaker()
    watch.look()
    assert min(seconds_until_due(lost), seconds_until_due(travelling)) > 30


def test_they_come_back_one_after_the_other_the_oldest_first_and_none_later_than_before(watch, monkeypatch):
    monkeypatch.setattr(resume, "RAMP", 0.1)
    first, second, third, soon = (parked_order(seconds=s) for s in (60, 60, 60, 1))
    close_the_breaker()
    watch.look()
    assert seconds_until_due(first) <= 0
    assert 0 < seconds_until_due(second) <= 10
    assert 10 < seconds_until_due(third) <= 20
    assert seconds_until_due(soon) <= 1


def test_an_order_that_found_the_provider_down_is_confirmed_without_waiting_once_it_is_back(providers, watch):
    make_shipping()
    order_id = make_order((make_product(), 1)).order_id
    work_off()
    assert Journey.objects.get(pk=order_id).waiting_for == PAYMENT.PROVIDER_AWAY
    close_the_breaker()
    watch.look()
    work_off()
    assert Journey.objects.get(pk=order_id).status == "confirmed"
