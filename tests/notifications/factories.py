"""Orders that things happen to, as often as a test likes."""

from django.contrib.auth.models import User
from django.db import transaction

from orders import wakeup
from orders.legs import PAYMENT
from orders.models import Journey
from tests.factories import make_order, make_product


def make_quiet_order(owner: User) -> int:
    """Place an order that no worker processes, and return its id."""
    return make_order((make_product(), 1), owner=owner, hold=True).order_id


def make_quiet_orders(owner: User, count: int) -> list[int]:
    """Place orders of one product that no worker processes."""
    product = make_product()
    return [make_order((product, 1), owner=owner, hold=True).order_id for _ in range(count)]


def something_happens(*order_ids: int, times: int = 1, announce: bool = True) -> None:
    """Append events to orders, in one transaction for each time."""
    for _ in range(times):
        with transaction.atomic():
            states = Journey.objects.lock(order_ids)
            for state in states:
                state.retry()
            Journey.objects.save_all(states)
        if announce:
            wakeup.announce_events()


def it_waits(order_id: int) -> None:
    """Append an event of another kind."""
    with transaction.atomic():
        states = Journey.objects.lock([order_id])
        for state in states:
            state.wait_for(PAYMENT.PROVIDER_AWAY)
        Journey.objects.save_all(states)
