"""Plans made on nearly empty tables are not used for orders by the hundred."""

import pytest
from django.db import connection

from orders.models import Journey
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 300


def executions() -> int:
    """Return how often this connection has executed a prepared statement about journeys."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(generic_plans + custom_plans), 0) FROM pg_prepared_statements WHERE statement LIKE %s",
            ["%orders_journey%"],
        )
        return int(cursor.fetchone()[0])


def test_many_orders_are_planned_for_themselves_and_few_are_not() -> None:
    product = make_product(units=MANY)
    order_ids = [make_order((product, 1)).order_id for _ in range(MANY)]
    Journey.objects.lock(order_ids[:1])
    prepared = executions()
    assert prepared > 0

    assert len(Journey.objects.lock(order_ids)) == MANY
    assert executions() == prepared

    Journey.objects.lock(order_ids[:1])
    assert executions() == prepared + 1
