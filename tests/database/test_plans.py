"""Plans made on nearly empty tables are not used for orders by the hundred."""

import re

import pytest
from django.db import connection

from orders.legs import LEGS
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


def test_no_index_of_journeys_depends_on_what_each_order_changes_beside_its_status() -> None:
    """Updates of a leg's state are heap-only (HOT): they write to no index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'orders_journey'::regclass"
        )
        definitions = [definition for (definition,) in cursor.fetchall()]
    changed = {"batch_id", "sequence", "attempts", "shipping_amount", *(leg.name for leg in LEGS)}
    assert [d for d in definitions if changed & set(re.findall(r"\w+", d.partition(" USING ")[2]))] == []
