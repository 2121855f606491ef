"""The ledger's rows from before have numbers and keys, and rows of the release before still get theirs."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

OLD_INSERT = """
    INSERT INTO payments_transaction
        (order_id, kind, reference, amount, currency, token, state, provider_id, code, message, started_at)
    VALUES (%s, %s, gen_random_uuid(), 15, 'USD', '', 'succeeded', '', '', '', now())
    ON CONFLICT (order_id, kind) DO NOTHING
"""
ROWS = "SELECT order_id, kind, number, parent, key = reference || ':' || kind FROM payments_transaction ORDER BY 1, 3"


def migrate(name: str) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("payments", name)])


@pytest.fixture
def _latest():
    yield
    executor = MigrationExecutor(connection)
    executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] == "payments"])


@pytest.mark.usefixtures("_latest")
def test_rows_of_before_and_of_older_processes_are_numbered() -> None:
    migrate("0005_states_stay_in_their_page")
    with connection.cursor() as cursor:
        for kind in ("authorize", "capture", "refund"):
            cursor.execute(OLD_INSERT, [1, kind])
        migrate("0006_number_and_key")
        for kind in ("authorize", "void", "void"):
            cursor.execute(OLD_INSERT, [2, kind])
        migrate("0007_key_by_number")
        cursor.execute(ROWS)
        assert cursor.fetchall() == [
            (1, "authorize", 1, None, True),
            (1, "capture", 2, 1, True),
            (1, "refund", 4, 2, True),
            (2, "authorize", 1, None, True),
            (2, "void", 3, 1, True),
        ]
        cursor.execute("DELETE FROM payments_transaction")
