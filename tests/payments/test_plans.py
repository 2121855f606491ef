"""Plans of the ledger's statements where nearly all calls are decided, as in any shop of some age."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from payments.models import Transaction
from payments.statements import RECORD

DECIDED = 2000
OUTCOMES = 500
AS_TABLE = (
    "(SELECT v AS order_id, 1 AS number, 'succeeded' AS state, '' AS provider_id, '' AS code, '' AS message"
    " FROM unnest(%s::bigint[]) AS v)"
)


@pytest.mark.django_db
def test_the_planner_expects_a_row_for_each_outcome_recorded():
    order_ids = list(range(1, DECIDED + 1))
    Transaction.objects.bulk_create(_decided(order_id) for order_id in order_ids)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE payments_transaction")
        cursor.execute("EXPLAIN (FORMAT JSON) " + RECORD.format(outcomes=AS_TABLE), [order_ids[-OUTCOMES:]])
        ((plans,),) = cursor.fetchall()
    # For a single row it would compare each outcome with each row of the table.
    assert plans[0]["Plan"]["Plan Rows"] >= OUTCOMES / 2


def _decided(order_id: int) -> Transaction:
    return Transaction(
        order_id=order_id,
        number=1,
        attempt=1,
        key=f"{order_id}:authorize",
        kind="authorize",
        gateway="http",
        reference=uuid4(),
        amount=Decimal("10.00"),
        currency="EUR",
        token="tok_demo",
        state="succeeded",
        started_at=timezone.now(),
    )
