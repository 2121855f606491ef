"""An order that is not at rest says what it waits for, since when, why, and what to do."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from orders import batches, steps
from orders.explain import Explanation, Situation, explain
from orders.models import Order
from providers.breaker import breaker
from sandbox.process import SandboxProcess
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import make_everything_due, work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]


@pytest.fixture(autouse=True)
def closed_breaker():
    make_shipping()
    breaker("payments").reset()
    yield
    breaker("payments").reset()


def explained(order_id: int) -> Explanation:
    return explain(Order.objects.select_related("journey").get(pk=order_id))


def test_a_held_order_waits_for_somebody_to_start_it() -> None:
    told = explained(make_order((make_product(), 1), hold=True).order_id)
    assert told.situation is Situation.HELD
    assert "Process it" in told.next_action
    assert told.since is not None


def test_a_due_order_leaves_with_the_next_batch() -> None:
    assert explained(make_order((make_product(), 1)).order_id).situation is Situation.DUE


def test_an_order_that_nobody_takes_up_points_at_the_dispatcher() -> None:
    order = make_order((make_product(), 1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journey SET due_at = now() - interval '1 minute'")
    told = explained(order.order_id)
    assert told.situation is Situation.NOT_CLAIMED
    assert "dispatcher" in told.why


def test_an_order_under_way_names_its_batch() -> None:
    order = make_order((make_product(), 1))
    (claimed,) = batches.claim()
    told = explained(order.order_id)
    assert (told.situation, told.waiting_for) == (Situation.UNDER_WAY, f"batch {claimed.batch_id}")
    assert told.next_look is not None


def test_an_order_whose_step_was_lost_says_which_leg_is_silent() -> None:
    order = make_order((make_product(), 1))
    (claimed,) = batches.claim()
    steps.quote_shipping(batch_id=claimed.batch_id)
    steps.settle(batch_id=claimed.batch_id)
    told = explained(order.order_id)
    assert told.situation is Situation.LOST_STEP
    assert "stock and payment" in told.why


def test_an_order_whose_charge_nobody_answered_names_the_charge(providers: SandboxProcess) -> None:
    order = make_order((make_product(), 1))
    providers.set_faults("payments", timeoutAfterRate=1.0, timeoutSeconds=0)
    work_off()
    told = explained(order.order_id)
    assert told.situation is Situation.PAYMENT_OUTCOME
    assert "authorize of 15.00 USD" in told.waiting_for
    assert told.safe_to_retry


def test_an_order_whose_provider_is_away_says_so_and_uses_up_no_attempt(providers: SandboxProcess) -> None:
    order = make_order((make_product(), 1))
    providers.set_faults("payments", down=True)
    for _ in range(8):
        work_off()
        make_everything_due()
    work_off()
    told = explained(order.order_id)
    assert told.situation is Situation.PAYMENT_PROVIDER
    assert "breaker" in told.why
    assert Order.objects.get(pk=order.order_id).journey.attention == ""


def test_an_order_before_a_person_says_why_and_that_a_retry_is_safe(settings) -> None:
    order = make_order((make_product(), 1))
    for _ in range(settings.MAX_ATTEMPTS):
        for claimed in batches.claim():
            batches.take_in_hand(claimed.batch_id, step="reserve_stock")  # and its worker dies
        make_everything_due()
    batches.claim()
    told = explained(order.order_id)
    assert told.situation is Situation.ATTENTION
    assert "without getting anywhere" in told.why
    assert told.safe_to_retry


def test_an_order_at_rest_waits_for_nothing() -> None:
    order = make_order((make_product(), 1))
    work_off()
    told = explained(order.order_id)
    assert (told.situation, told.safe_to_retry) == (Situation.AT_REST, False)


def test_the_command_line_says_the_same() -> None:
    order = make_order((make_product(), 1), hold=True)
    out = StringIO()
    call_command("explain", order.number, stdout=out)
    assert "somebody to start it" in out.getvalue()
    with pytest.raises(CommandError):
        call_command("explain", "ORD-20260101000000-999999999")


def test_operators_read_it_over_the_api_and_customers_do_not(place, as_alice, as_operator) -> None:
    order = place(hold=True)
    answer = as_operator.get(f"/api/orders/{order['id']}/explanation")
    assert answer.status_code == 200
    assert answer.json()["situation"] == "held"
    assert set(answer.json()) == {
        "situation", "waitingFor", "since", "why", "safeToRetry", "nextAction", "nextLook",
    }  # fmt: skip
    assert as_alice.get(f"/api/orders/{order['id']}/explanation").status_code == 403
