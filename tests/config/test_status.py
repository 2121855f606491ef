"""Status: what the system says it is doing."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.db import connection

from inventory.tasks import sync_stock
from launcher.engines import free_port
from monitoring import prometheus, status
from monitoring.health import valkey
from monitoring.workers import PREFIX
from orders.commands import cancel_order
from orders.operators import money_at_risk
from orders.reporting import stats
from runtime import heartbeats
from scheduling.slots import database_now, once_per_slot
from tests.factories import make_order, make_product, make_shipping, make_transaction, make_user
from tests.fixtures.pipeline import work_off
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.config.system_urls")]


@pytest.fixture(autouse=True)
def looked_at_anew():
    status._status.forget()
    with heartbeats._client() as client:
        client.flushdb()


@pytest.fixture
def look(client):
    client.force_login(User.objects.create_superuser("admin"))

    def get() -> dict:
        status._status.forget()
        return client.get("/api/system/status").json()

    return get


def test_a_stranger_sees_nothing(client):
    assert client.get("/api/system/status").status_code in (401, 403)


def test_a_customer_sees_nothing(client):
    client.force_login(make_user())
    assert client.get("/api/system/status").status_code == 403


def test_in_demo_mode_the_newcomer_sees_it(client, settings):
    client.force_login(make_user())
    settings.DEMO = True
    assert client.get("/api/system/status").status_code == 200


def test_everything_is_known_when_all_is_well(look):
    found = look()
    assert found["notKnown"] == {}
    assert found["versions"]["postgresql"]


def test_orders_are_counted_by_state(look, providers):
    make_shipping()
    product = make_product(units=1)
    for _ in range(2):
        make_order((product, 1))
    work_off()
    make_order((product, 1), hold=True)
    states = look()["orders"]["byState"]
    assert {state: count["orders"] for state, count in states.items() if count["orders"]} == {
        "confirmed": 1,
        "rejected": 1,
        "pending": 1,
    }
    assert not any(count["estimated"] for count in states.values())


def test_many_orders_are_estimated_where_counting_would_take_long(monkeypatch):
    monkeypatch.setattr(stats, "COUNTED_ROWS", 0)
    _write_journeys(confirmed=6000, completed=3000, rejected=500)
    counts = stats.orders_by_state()
    assert counts["rejected"] == stats.Count(500)
    assert counts["confirmed"].is_estimate
    assert counts["completed"].is_estimate
    assert counts["confirmed"].orders == pytest.approx(6000, rel=0.1)
    assert counts["completed"].orders == pytest.approx(3000, rel=0.1)


def test_those_that_did_not_end_well_are_counted_as_long_as_they_are_few(monkeypatch):
    monkeypatch.setattr(stats, "COUNTED_ROWS", 0)
    _write_journeys(completed=20_000, cancelled=12_000, rejected=9_000, pending=11_000)
    counts = stats.orders_by_state()
    assert counts["pending"] == stats.Count(11_000)
    assert counts["rejected"] == stats.Count(9_000)
    assert counts["cancelled"].is_estimate
    assert counts["cancelled"].orders == pytest.approx(12_000, rel=0.2)


def _write_journeys(**wanted: int) -> None:
    with connection.cursor() as cursor:
        for status_, count in wanted.items():
            cursor.execute(
                "INSERT INTO orders_journey (order_id, status, sequence, attempts, stock, shipping, payment, "
                " outcome, reason, completion_requested, waiting_for, attention)"
                " SELECT coalesce((SELECT max(order_id) FROM orders_journey), 0) + n, %s, 1, 0, '', '', '',"
                " '', '', false, '', '' FROM generate_series(1, %s) n",
                [status_, count],
            )
        # Otherwise PostgreSQL may add these rows to what ANALYZE has counted, and believe in twice as many.
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("ANALYZE orders_journey")


@pytest.mark.parametrize("predicate", ["NOT status IN ('confirmed', 'completed')", "NOT attention = ''"])
def test_counting_what_is_under_way_reads_a_partial_index(predicate):
    _write_journeys(confirmed=20_000)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN SELECT count(*) FROM orders_journey WHERE {predicate}")  # noqa: S608
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "orders_not_confirmed" in plan or "orders_attention" in plan


def test_due_orders_are_told_with_the_oldest_of_them(look):
    placed = make_order((make_product(), 1))
    found = look()["orders"]
    assert found["due"] == 1
    assert found["oldestDue"]["orderNumber"] == placed.number
    assert found["oldestDue"]["lateSeconds"] >= 0


def test_an_order_before_a_person_is_named_with_its_reason(look):
    placed = make_order((make_product(), 1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journey SET attention = 'the step failed', due_at = NULL")
    found = look()["orders"]["needsAttention"]
    assert found == {
        "orders": 1,
        "first": [{"orderNumber": placed.number, "status": "pending", "why": "the step failed"}],
    }


def test_money_that_nobody_knows_about_is_at_risk(look):
    placed = make_order((make_product(), 1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journey SET status = 'processing'")
    long_ago = database_now() - timedelta(minutes=5)
    make_transaction(placed, "authorize", amount="41.20", started_at=long_ago, code="timeout")
    assert look()["orders"]["moneyAtRisk"] == [{"currency": "USD", "orders": 1, "amount": 41.2}]
    (risk,) = money_at_risk.at_risk()
    assert (risk.number, risk.cause) == (placed.number, "Authorization outcome unknown.")


def test_money_of_an_order_that_is_being_undone_is_at_risk_until_it_is_back(providers):
    make_shipping()
    placed = make_order((make_product(), 1))
    work_off()
    cancel_order(order_id=placed.order_id, reason="changed my mind")
    (risk,) = money_at_risk.at_risk()
    assert (risk.amount, risk.cause, risk.is_unknown) == (
        Decimal("15.00"),
        "Captured, not refunded yet.",
        False,
    )

    work_off()
    assert money_at_risk.at_risk() == []


def test_queues_tell_what_waits_and_what_was_taken(look, settings):
    worker = f"{PREFIX}all@here"
    heartbeats.beat(worker, queues=["orders", "payments"], taken={"payments": 1})
    until(heartbeats.present)
    with valkey(settings.BROKER_URL) as broker:
        broker.lpush("payments", "waiting", "waiting too")
        try:
            found = look()["queues"]
        finally:
            broker.delete("payments")
            heartbeats.leave(worker)
    assert found["payments"] == {"depth": 2, "unacknowledged": 1}
    assert found["orders"] == {"depth": 0, "unacknowledged": 0}


def test_workers_tell_what_they_are_doing(look):
    heartbeats.beat(f"{PREFIX}orders@here", queues=["orders"], active=1, processed=7)
    until(heartbeats.present)
    (worker,) = look()["processes"]["workers"]
    assert (worker["name"], worker["queues"], worker["active"], worker["alive"]) == (
        "orders@here",
        ["orders"],
        1,
        True,
    )
    heartbeats.leave(f"{PREFIX}orders@here")


def test_the_schedule_tells_the_outcome_of_each_last_run(look):
    for hour in (1, 2):
        now = database_now().replace(hour=hour)
        once_per_slot(name="audit", interval=600, work=partial("run {}".format, hour), now=now)
    once_per_slot(name="beat", interval=10, work=lambda: None, now=database_now())
    found = look()["schedule"]
    assert {run["name"]: run["outcome"] for run in found["runs"]} == {"audit": "run 2", "beat": "done"}
    assert found["lastTick"]


def test_a_stock_sync_that_stops_half_way_leaves_its_trace(look, providers):
    providers.set_faults("inventory", down=True)
    sync_stock.run(at_once=True)
    (run,) = look()["schedule"]["runs"]
    assert (run["name"], run["failed"]) == ("inventory.sync_stock", True)
    assert "stopped: inventory" in run["outcome"]
    prometheus._exposition.forget()
    assert b'orders_scheduled_run_failed{name="inventory.sync_stock"} 1.0' in prometheus.exposition()


def test_what_cannot_be_read_is_null_and_says_why(look, settings):
    settings.BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"
    found = look()
    assert found["queues"] is None
    assert "Connection refused" in found["notKnown"]["queues"]
    assert found["orders"]["due"] == 0
