"""Reports are read from a standby; without one that answers, from the leader."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.http import HttpResponse

from config.replica_reads import WROTE, ReadsReplica, allowed_lag
from database import replica

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(autouse=True)
def lag(settings: Any) -> None:
    settings.REPLICA_LAG_SECONDS = 10
    settings.DATABASE_ROUTERS = ["database.replica.Router"]


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


def test_a_standby_that_is_too_far_behind_is_not_read(monkeypatch) -> None:
    monkeypatch.setattr(replica, "IS_FRESH", "SELECT %s::float8 IS NULL")
    assert name() != "reports"


# --- Which request's reads may lag ------------------------------------------------------------------------------


def test_what_follows_a_write_of_the_same_browser_is_read_at_the_leader(rf: Any, settings: Any) -> None:
    session = f"{settings.SESSION_COOKIE_NAME}=abc"
    read = ReadsReplica(lambda _: HttpResponse(name()))
    write = ReadsReplica(lambda _: HttpResponse(name()))
    assert read(rf.get("/", HTTP_COOKIE=session)).content == b"reports"
    answer = write(rf.post("/", HTTP_COOKIE=session))
    assert answer.content != b"reports"
    cookie = answer.cookies[WROTE]
    assert cookie["max-age"] > settings.REPLICA_LAG_SECONDS
    assert read(rf.get("/", HTTP_COOKIE=f"{session}; {WROTE}={cookie.value}")).content != b"reports"


@pytest.mark.parametrize(
    ("header", "lag"), [("", 0), ("max-stale", 10), ("max-stale=3", 3), ("max-stale=99", 10), ("no-cache", 0)]
)
def test_another_client_says_by_how_much_its_reads_may_lag(rf: Any, header: str, lag: float) -> None:
    assert allowed_lag(rf.get("/", HTTP_CACHE_CONTROL=header)) == lag
    assert allowed_lag(rf.post("/", HTTP_CACHE_CONTROL=header)) == 0


def test_orders_are_listed_from_the_standby_and_accounts_are_not(client: Any, monkeypatch: Any) -> None:
    seen: list[str] = []
    for alias in (DEFAULT_DB_ALIAS, replica.ALIAS):
        _note_tables(monkeypatch, connections[alias], alias, seen)
    client.force_login(User.objects.create_user("alice"))
    seen.clear()
    assert client.get("/api/orders").status_code == 200
    assert "replica orders_order" in seen
    assert "default auth_user" in seen
    assert not {"default orders_order", "replica auth_user"} & set(seen)


def test_an_export_that_lags_is_read_from_the_standby_to_its_end(client: Any, monkeypatch: Any) -> None:
    seen: list[str] = []
    for alias in (DEFAULT_DB_ALIAS, replica.ALIAS):
        _note_tables(monkeypatch, connections[alias], alias, seen)
    client.force_login(User.objects.create_user("alice"))
    seen.clear()
    assert b"".join(client.get("/api/orders/export").streaming_content) == b""
    assert "replica orders_order" in seen
    assert "default orders_order" not in seen


def _note_tables(monkeypatch: Any, connection: Any, alias: str, seen: list[str]) -> None:
    """Note which of two tables a statement of this connection reads."""

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        seen.extend(f"{alias} {table}" for table in ("orders_order", "auth_user") if f'FROM "{table}"' in sql)
        return execute(sql, *rest)

    monkeypatch.setattr(connection, "execute_wrappers", [note])
