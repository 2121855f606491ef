"""An order that is not at rest says what it waits for, since when, why, and what to do."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from orders import batches, steps
from orders.legs import LEGS, LOST_STEP, PAYMENT, SHIPPING, STOCK, WAITS
from orders.models import Batch, Order, StepRun
from orders.operators.explain import explain
from orders.operators.situations import Explanation, Situation
from orders.status import Status
from providers.breaker import Admission, breaker
from runtime import heartbeats
from sandbox.process import SandboxProcess
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_transaction
from tests.fixtures.pipeline import lose_workers, make_everything_due, work_off
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]


@pytest.fixture(autouse=True)
def closed_breaker():
    make_shipping()
    breaker("payments").reset()
    yield
    breaker("payments").reset()


@pytest.fixture(autouse=True)
def everybody_alive():
    with alive("dispatcher", *settings.QUEUES):
        yield


@contextmanager
def alive(*names: str) -> Iterator[None]:
    """Publish heartbeats of a dispatcher and of workers of these queues."""
    signs = {"dispatcher" if name == "dispatcher" else f"worker:{name}@test": name for name in names}
    for sign, queue in signs.items():
        heartbeats.beat(sign, queues=[queue])
    until(lambda: heartbeats.alive().keys() >= signs.keys())
    yield
    for sign in signs:
        heartbeats.leave(sign)


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
    assert told.situation == PAYMENT.OUTCOME_UNKNOWN
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
    assert told.situation == PAYMENT.PROVIDER_AWAY
    assert "breaker" in told.why
    assert Order.objects.get(pk=order.order_id).journey.attention == ""


def test_an_order_before_a_person_says_why_and_that_a_retry_is_safe() -> None:
    order = make_order((make_product(), 1))
    lose_workers(settings.MAX_ATTEMPTS + 1)
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
    assert "manual release" in out.getvalue()
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


# --- Every state that an order can wait in ---

SOON, NOW, LONG_AGO = timedelta(seconds=5), timedelta(0), timedelta(minutes=-1)
FORWARD = {"status": Status.PROCESSING, "stock": STOCK.RESERVED, "shipping": SHIPPING.QUOTED}
BACK = {"status": Status.CANCELLING, "stock": STOCK.RELEASED, "shipping": SHIPPING.QUOTED}
TAKEN = ("capture", "succeeded")
# What is so: of the journey, its batch and the provider's answers, and what is away. Then what is said of it.
STATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "held": ({"status": Status.PENDING, "due": None}, Situation.HELD, "placed on hold"),
    "just placed": ({"status": Status.PENDING, "due": NOW}, Situation.DUE, "goes into the next batch"),
    "due, no dispatcher": (
        {"status": Status.PENDING, "due": NOW, "away": "dispatcher"},
        Situation.NOT_CLAIMED,
        "No dispatcher is running",
    ),
    "due, too much under way": (
        {"status": Status.PENDING, "due": LONG_AGO},
        Situation.NOT_CLAIMED,
        "although one is running. 0 of at most 3 batches are in progress",
    ),
    "due, broker away": (
        {"status": Status.PENDING, "due": NOW, "away": "broker"},
        Situation.BROKER,
        "Valkey",
    ),
    "due, nobody for its queues": (
        {"status": Status.PENDING, "due": NOW, "away": "inventory"},
        Situation.NO_WORKER,
        "No worker reads the queue inventory. Start a worker",
    ),
    "its batch could not be sent": (
        FORWARD | {"due": SOON},
        Situation.BROKER,
        "claimed, but its batch could not be sent",
    ),
    "travelling": (FORWARD | {"due": SOON, "batch": True}, Situation.UNDER_WAY, "Being processed (batch "),
    "travelling and late": (
        FORWARD | {"due": SOON, "batch": True, "attention": "processing for over 15 minutes"},
        Situation.UNDER_WAY,
        "It needs attention as well: processing for over 15 minutes",
    ),
    "travelling, provider down": (
        FORWARD | {"due": SOON, "batch": True, "away": "provider"},
        PAYMENT.PROVIDER_AWAY,
        "The payment provider cannot be reached. Its circuit breaker is open until",
    ),
    "travelling, nobody for its queue": (
        FORWARD | {"due": SOON, "batch": True, "away": "payments"},
        Situation.NO_WORKER,
        "No worker reads the queue payments",
    ),
    "travelling, the queue that nobody reads lies behind it": (
        FORWARD | {"due": SOON, "batch": True, "away": "inventory"},
        Situation.UNDER_WAY,
        "Being processed (batch ",
    ),
    "travelling, dispatcher away": (
        FORWARD | {"due": SOON, "batch": True, "away": "dispatcher"},
        Situation.UNDER_WAY,
        "Being processed (batch ",
    ),
    "travelling, broker away": (
        FORWARD | {"due": SOON, "batch": True, "away": "broker"},
        Situation.BROKER,
        "The broker (Valkey) cannot be reached",
    ),
    "lease lost, nobody watched": (
        FORWARD | {"due": NOW, "batch": True, "is_watched": False},
        Situation.BATCH_LOST,
        "did not finish within 8 seconds: a worker crashed, or a message was lost or is still queued. It is due again",
    ),
    "lease lost, message lost": (
        FORWARD | {"due": NOW, "batch": True},
        Situation.BATCH_LOST,
        "did not finish within 8 seconds: its message was lost or is still queued. It is due again",
    ),
    "lease lost, worker lost": (
        FORWARD | {"due": NOW, "batch": True, "step": "authorize_payment"},
        Situation.BATCH_LOST,
        "the step “authorize payment” did not finish on payments@one",
    ),
    "lease lost, dispatcher lost": (
        FORWARD | {"due": LONG_AGO, "batch": True, "away": "dispatcher"},
        Situation.NOT_CLAIMED,
        "No dispatcher is running",
    ),
    "provider down": (
        FORWARD | {"due": SOON, "waiting_for": PAYMENT.PROVIDER_AWAY, "away": "provider"},
        PAYMENT.PROVIDER_AWAY,
        "Its circuit breaker is open until",
    ),
    "provider down, and something is not known": (
        FORWARD | {"due": SOON, "waiting_for": PAYMENT.PROVIDER_AWAY, "asked": [("authorize", "unknown")]},
        PAYMENT.PROVIDER_AWAY,
        "The outcome of the earlier authorize call is unknown",
    ),
    "provider down, and nobody looks": (
        FORWARD | {"due": LONG_AGO, "waiting_for": PAYMENT.PROVIDER_AWAY, "away": "dispatcher"},
        Situation.NOT_CLAIMED,
        "No dispatcher is running",
    ),
    "outcome not known": (
        FORWARD | {"due": SOON, "waiting_for": PAYMENT.OUTCOME_UNKNOWN, "asked": [("authorize", "unknown")]},
        PAYMENT.OUTCOME_UNKNOWN,
        "The outcome of the authorize of 15.00 USD at the payment provider is unknown.",
    ),
    "step lost": (
        FORWARD | {"due": SOON, "waiting_for": LOST_STEP},
        Situation.LOST_STEP,
        "A step did not report back (payment)",
    ),
    "step lost, and nobody for its queue": (
        FORWARD | {"due": SOON, "waiting_for": LOST_STEP, "away": "payments"},
        Situation.NO_WORKER,
        "A step did not report back (payment): its worker crashed or its message was lost. No worker reads",
    ),
    "units held by orders that are not paid": (
        FORWARD | {"due": SOON, "stock": STOCK.SHORT, "waiting_for": STOCK.UNITS_HELD},
        STOCK.UNITS_HELD,
        "orders that are not paid yet hold them. It is in the queue for them",
    ),
    "units held by others, and nobody looks": (
        FORWARD
        | {"due": LONG_AGO, "stock": STOCK.SHORT, "waiting_for": STOCK.UNITS_HELD, "away": "dispatcher"},
        Situation.NOT_CLAIMED,
        "No dispatcher is running",
    ),
    "units held by others, travelling, and nobody for its queue": (
        FORWARD
        | {
            "due": SOON,
            "stock": STOCK.SHORT,
            "waiting_for": STOCK.UNITS_HELD,
            "batch": True,
            "away": "inventory",
        },
        Situation.NO_WORKER,
        "No worker reads the queue inventory",
    ),
    "given up": (
        FORWARD | {"due": None, "attention": "authorize_payment: KeyError('a')"},
        Situation.ATTENTION,
        "the step “authorize payment” failed with KeyError('a'). Check the traceback",
    ),
    "called off, stock still held": (
        BACK | {"due": SOON, "stock": STOCK.RESERVED, "payment": PAYMENT.VOIDED, "waiting_for": LOST_STEP},
        Situation.LOST_STEP,
        "A step did not report back (stock)",
    ),
    "called off, money not returned": (
        BACK
        | {"due": SOON, "payment": PAYMENT.CAPTURED, "waiting_for": PAYMENT.PROVIDER_AWAY, "asked": [TAKEN]},
        PAYMENT.PROVIDER_AWAY,
        "Unresolved payment: the provider has 15.00 USD, for",
    ),
    "called off, and nobody knows whether anything was taken": (
        BACK | {"due": SOON, "waiting_for": PAYMENT.OUTCOME_UNKNOWN, "asked": [("authorize", "unknown")]},
        PAYMENT.OUTCOME_UNKNOWN,
        "Unresolved payment: the provider may hold 15.00 USD, for",
    ),
    "called off, refund refused": (
        BACK
        | {
            "due": None,
            "payment": PAYMENT.CAPTURED,
            "asked": [TAKEN],
            "attention": "Refund refused by the provider: x",
        },
        Situation.ATTENTION,
        "Unresolved payment: the provider has 15.00 USD, for 0 seconds. Resolve this in the payment",
    ),
    "called off, stopped, nothing at risk": (
        BACK
        | {
            "due": None,
            "payment": PAYMENT.REFUNDED,
            "asked": [TAKEN, ("refund", "succeeded")],
            "attention": "a defect",
        },
        Situation.ATTENTION,
        "It stopped: a defect. Check",
    ),
    "to be handed over": (
        {"status": Status.CONFIRMED, "due": NOW},
        Situation.COMPLETION,
        "its completion was requested. It is due",
    ),
    "to be handed over, nobody for its queue": (
        {"status": Status.CONFIRMED, "due": NOW, "away": "orders"},
        Situation.NO_WORKER,
        "No worker reads the queue orders",
    ),
    "handing over failed": (
        {
            "status": Status.CONFIRMED,
            "completion_requested": True,
            "due": None,
            "attention": "complete: KeyError('a')",
        },
        Situation.ATTENTION,
        "fix the cause, then retry",
    ),
    "found wrong by the audit": (
        {"status": Status.COMPLETED, "due": None, "attention": "the audit found it wrong: stock"},
        Situation.ATTENTION,
        "It is completed and needs attention: the audit found it wrong: stock. Fix it, then Retry",
    ),
    "at rest": ({"status": Status.COMPLETED, "due": None}, Situation.AT_REST, "It is completed."),
}


@pytest.fixture
def order() -> Order:
    return Order.objects.select_related("journey").get(pk=make_order((make_product(), 1)).order_id)


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_told_in_words(order, settings, state) -> None:
    so, situation, words = STATES[state]
    put(order, **so)
    with being_away(so.get("away", ""), settings):
        told = explain(order)
    assert (told.situation, words in told.text) == (situation, True), told
    assert told.waiting_for
    assert told.safe_to_retry == (
        bool(so.get("attention"))
        or (order.journey.status not in (Status.CONFIRMED, Status.COMPLETED) and state != "held")
    )
    assert told.next_look == order.journey.due_at
    assert bool(told.next_action) == (situation is not Situation.AT_REST)


def put(order: Order, *, due: timedelta | None, batch: bool = False, step: str = "", **more: Any) -> None:
    """Put an order into a state."""
    journey = order.journey
    for kind, state in more.pop("asked", ()):
        make_transaction(order, kind, state=state)
    is_watched = more.pop("is_watched", True)
    if batch:
        journey.batch_id = Batch.objects.create(size=1, order_ids=[order.pk], is_watched=is_watched).pk
    if step:
        StepRun.objects.create(batch_id=journey.batch_id or 0, step=step, worker="payments@one")
    more.pop("away", None)
    for column, value in more.items():
        setattr(journey, column, value)
    journey.due_at = None if due is None else database_now() + due
    journey.save()


@contextmanager
def being_away(who: str, settings: Any) -> Iterator[None]:
    if who == "broker":
        settings.CACHE_URL = "redis://127.0.0.1:1"
    elif who == "provider":
        for _ in range(10):
            breaker("payments").record(Admission(allowed=True), ok=False)
    elif who:
        heartbeats.leave("dispatcher" if who == "dispatcher" else f"worker:{who}@test")
    yield


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.CANCELLING])
def test_whatever_came_of_its_legs_there_are_words_without_codes(order, status) -> None:
    legs = itertools.product(*(leg.states.values() for leg in LEGS))
    for states, wait in itertools.product(legs, ["", *WAITS]):
        journey = order.journey
        for state in states:
            setattr(journey, state.leg, state)
        journey.status, journey.waiting_for, journey.due_at = status, wait, database_now() + SOON
        told = explain(order)
        assert told.waiting_for
        assert told.since
        assert told.next_action
        assert "_" not in f"{told.waiting_for} {told.text}"
