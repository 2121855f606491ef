"""An idle dispatcher checks for due orders and opens no claim; none is missed, whether announced or not."""

import pytest
from django.conf import settings
from django.db import connections

from orders import batches
from orders.dispatcher import Dispatcher
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def idle():
    """A dispatcher that was woken by nothing."""
    dispatcher = Dispatcher()
    dispatcher._listen()
    dispatcher._sleep(0)
    yield dispatcher
    dispatcher._disconnect()


@pytest.fixture
def claiming():
    """Another dispatcher that is claiming: it holds the lock that a claim needs."""
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [batches.CLAIMING, settings.BATCH_NODE])
        yield
    other.close()


def test_it_checks_without_a_claim(idle, claiming):
    assert idle._dispatch() == 0


def test_it_sends_an_order_that_no_notification_announced(idle):
    make_order((make_product(), 1))
    idle._sleep(0)  # consumes the notification
    idle._sleep(0)
    assert not idle._may_be_due
    assert idle._dispatch() == 1


def test_a_notification_leads_to_a_claim_at_once(idle):
    make_order((make_product(), 1))
    idle._sleep(10)
    assert idle._may_be_due
    assert idle._dispatch() == 1
