"""Metrics: for people as JSON, for Prometheus as text."""

import os

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from prometheus_client.parser import text_string_to_metric_families

from config.celery import app
from launcher.engines import free_port
from monitoring import metrics, prometheus
from notifications import journal_reader
from orders.maintenance import audit
from orders.models import Order
from orders.reporting import stats
from runtime import heartbeats
from scheduling.slots import database_now, once_per_slot
from telemetry import measures
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.fixtures.pipeline import work_off
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.config.system_urls")]


@pytest.fixture(autouse=True)
def looked_at_anew():
    metrics._metrics.forget()
    prometheus._exposition.forget()


@pytest.fixture
def orders_done(providers):
    """Two confirmed orders and one that was refused."""
    make_shipping()
    product = make_product(units=2)
    for _ in range(3):
        make_order((product, 1))
    work_off()


def scrape(client) -> dict[tuple[str, ...], float]:
    prometheus._exposition.forget()
    text = client.get("/metrics").content.decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_last_minutes_are_told_for_people(client, orders_done):
    client.force_login(User.objects.create_superuser("admin"))
    found = client.get("/api/system/metrics").json()
    last = found["orders"]["last5Minutes"]
    assert (last["placed"], last["confirmed"], last["rejected"]) == (3, 2, 1)
    assert last["confirmedPerMinute"] == 0.4
    assert found["secondsSincePlaced"]["order_confirmed"]["orders"] == 2
    assert found["secondsSincePlaced"]["order_confirmed"]["p95"] > 0
    assert found["batches"]["largestSize"] == 3
    assert found["process"]["memoryBytes"] > 0
    assert found["database"]["maxConnections"] > 0
    assert found["valkey"]["clients"] > 0


def test_figures_are_for_staff(client):
    client.force_login(make_user())
    assert client.get("/api/system/metrics").status_code == 403


def test_prometheus_reads_the_whole_system(client, orders_done):
    with app.connection_for_write() as broker:
        broker.SimpleQueue("payments").clear()  # of other tests
    samples = scrape(client)
    assert samples["orders_current", "confirmed"] == 2
    assert samples["orders_current", "rejected"] == 1
    assert samples["orders_due",] == 0
    assert samples["orders_placed_total",] >= 3
    assert samples["orders_queue_messages", "payments"] == 0
    assert samples["orders_breaker_state", "payments", "closed"] == 1
    assert samples["orders_milestone_seconds", "order_confirmed", "95"] > 0
    assert all(samples["orders_scrape_source_up", source] == 1 for source in prometheus.SOURCES)


def test_events_are_counted_from_the_journal_once(client, orders_done):
    before = scrape(client).get(("orders_events_total", "order_confirmed"), 0)
    while journal_reader.record_page():
        pass
    journal_reader.record_page()
    samples = scrape(client)
    assert samples["orders_events_total", "order_confirmed"] - before == 2
    assert samples["orders_event_seconds_count", "order_rejected"] == 1
    assert samples["orders_event_seconds_bucket", "+Inf", "order_rejected"] == 1
    assert samples["orders_event_seconds_sum", "order_confirmed"] > 0


def test_requests_are_counted_by_route(client):
    measures.flush()  # what other tests have asked for
    before = scrape(client).get(("orders_http_requests_total", "GET", "health/live", "200"), 0)
    client.get("/health/live")
    client.get("/nowhere/at/all")
    measures.flush()
    samples = scrape(client)
    assert samples["orders_http_requests_total", "GET", "health/live", "200"] == before + 1
    assert samples["orders_http_requests_total", "GET", "unknown", "404"] >= 1
    assert samples["orders_http_request_seconds_count", "GET", "health/live"] >= 1


def test_calls_to_a_provider_are_counted_by_what_came_of_them(client, orders_done):
    measures.flush()
    samples = scrape(client)
    assert samples["orders_provider_calls_total", "answered", "payments"] >= 2
    assert samples["orders_provider_call_seconds_count", "payments"] >= 2


def test_the_last_audit_is_told(client):
    assert ("orders_audit_violations",) not in scrape(client)
    once_per_slot(
        name="audit", interval=1, work=lambda: audit.run(with_ledger=False).summary, now=database_now()
    )
    assert scrape(client)["orders_audit_violations",] == 0


def test_sockets_are_told_by_the_live_servers(client):
    heartbeats.beat("live", sockets=7)
    until(lambda: ("orders_live_sockets", settings.NODE, str(os.getpid())) in scrape(client))
    assert scrape(client)["orders_live_sockets", settings.NODE, str(os.getpid())] == 7
    heartbeats.leave("live")


def test_a_source_that_is_away_takes_only_its_own_figures_with_it(client, settings):
    settings.BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"
    samples = scrape(client)
    assert samples["orders_scrape_source_up", "queues"] == 0
    assert samples["orders_scrape_source_up", "orders"] == 1
    assert ("orders_queue_messages", "payments") not in samples


def test_every_source_has_its_figures():
    assert set(prometheus.FAMILIES) == set(prometheus.SOURCES)


def test_names_follow_the_conventions(client):
    names = {name for name, *_ in scrape(client)}
    assert all(name.startswith("orders_") for name in names)
    assert not [name for name in names if name.endswith(("_ms", "_millis", "_mb"))]


def test_strangers_may_not_scrape(client):
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403


def test_who_has_the_token_may_scrape(client, settings):
    settings.METRICS_TOKEN = "for-prometheus"
    headers = {"Authorization": "Bearer for-prometheus"}
    assert client.get("/metrics", headers=headers, REMOTE_ADDR="203.0.113.9").status_code == 200
    assert (
        client.get("/metrics", headers={"Authorization": "Bearer "}, REMOTE_ADDR="203.0.113.9").status_code
        == 403
    )


def test_an_empty_token_opens_nothing(client):
    headers = {"Authorization": "Bearer "}
    assert client.get("/metrics", headers=headers, REMOTE_ADDR="203.0.113.9").status_code == 403


def test_orders_since_a_moment_are_found_without_an_index_on_time():
    placed = [make_order((make_product(), 1)) for _ in range(9)]
    Order.objects.filter(pk=placed[4].order_id).delete()
    for since in (placed[0].placed_at, placed[4].placed_at, placed[6].placed_at, database_now()):
        by_id = Order.objects.filter(pk__gte=stats.first_id_since(since))
        assert set(by_id) == set(Order.objects.filter(placed_at__gte=since))


def test_a_stretch_with_too_many_orders_is_cut_to_its_end(monkeypatch):
    placed = [make_order((make_product(), 1)) for _ in range(9)]
    monkeypatch.setattr(stats, "LONGEST_STRETCH", 3)
    now = database_now()
    stretch = stats.last_minutes(60, now=now)
    assert stretch.placed == 4
    assert stretch.seconds == (now - placed[5].placed_at).total_seconds()
