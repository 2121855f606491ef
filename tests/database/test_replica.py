"""Reports are read from a standby; without one that answers, from the leader."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from database import replica

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@replica.may_be_late
def name() -> str:
    with replica.connection().cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        return str(cursor.fetchone()[0])


@pytest.fixture(scope="module", autouse=True)
def standby(django_db_setup) -> Iterator[dict[str, Any]]:
    """The same server, under another name of the client."""
    own = connections[DEFAULT_DB_ALIAS].settings_dict
    options = own["OPTIONS"] | {"application_name": "reports"}
    connections.settings[replica.ALIAS] = own | {
        "OPTIONS": options,
        "TEST": own["TEST"] | {"MIRROR": "default"},
    }
    yield connections.settings[replica.ALIAS]
    connections[replica.ALIAS].close()
    del connections.settings[replica.ALIAS], connections[replica.ALIAS]


def test_a_report_is_read_from_the_standby() -> None:
    assert name() == "reports"
    assert replica.connection() is connections[DEFAULT_DB_ALIAS]


def test_while_no_standby_answers_it_is_read_from_the_leader(standby) -> None:
    connections[replica.ALIAS].close()
    connections[replica.ALIAS].settings_dict = standby | {"HOST": "127.0.0.1", "PORT": "1"}
    try:
        assert name() != "reports"
    finally:
        connections[replica.ALIAS].settings_dict = standby


def test_inside_a_transaction_it_is_read_where_the_transaction_is() -> None:
    with transaction.atomic():
        assert name() != "reports"


def test_without_one_it_is_read_as_ever(monkeypatch) -> None:
    monkeypatch.delitem(connections.settings, replica.ALIAS)
    assert name() != "reports"
