"""Health: what it says when all is well, and when something is not."""

import os
import secrets
import signal
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from launcher.engines import free_port, start_engine, stop_engine
from launcher.engines.valkey import Valkey
from monitoring import health
from providers.breaker import breaker
from runtime import heartbeats
from scheduling.models import ScheduledRun
from scheduling.slots import database_now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.config.system_urls")]

ELSEWHERE = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture(autouse=True)
def looked_at_anew():
    health._report.forget()
    with heartbeats._client() as client:
        client.flushdb()
    yield
    health._report.forget()


class LiveServer(BaseHTTPRequestHandler):
    """Answers like the live server: that it is there."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering_live_server(settings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), LiveServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.LIVE_URL = f"http://127.0.0.1:{server.server_port}"
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def everybody_there(answering_live_server):
    """The processes that `make run` starts, by their heartbeats, and a schedule that ticks."""
    for queue in django_settings.QUEUES:
        _beat(f"worker:{queue}@here", queues=[queue], idleSeconds=0.0)
    _beat("dispatcher")
    ScheduledRun.objects.create(name="beat", slot=1, started_at=database_now())


def _beat(name: str, **facts) -> None:
    heartbeats._publisher()._publish_beat(name, time.monotonic(), facts)


def _gone(name: str) -> None:
    heartbeats.leave(name)


def states(client, path="/health", **extra) -> tuple[int, str, dict[str, str]]:
    health._report.forget()
    answer = client.get(path, **extra)
    body = answer.json()
    return answer.status_code, body["status"], {name: part["status"] for name, part in body["parts"].items()}


def test_all_is_well(client, everybody_there):
    code, overall, parts = states(client)
    unwell = {name: state for name, state in parts.items() if state != "healthy"}
    assert unwell == {}
    assert (code, overall) == (200, "healthy")
    assert set(parts) == set(health.PARTS)


def test_each_part_has_its_own_latency(client, everybody_there):
    parts = client.get("/health").json()["parts"]
    assert all(part["latencyMs"] >= 0 for part in parts.values())


def test_strangers_see_states_but_no_details(client, everybody_there):
    parts = client.get("/health", **ELSEWHERE).json()["parts"]
    assert {frozenset(part) for part in parts.values()} == {frozenset({"status", "latencyMs"})}


def test_who_sends_the_token_sees_details(client, everybody_there, settings):
    settings.METRICS_TOKEN = "for-prometheus"
    parts = client.get("/health", headers={"Authorization": "Bearer for-prometheus"}, **ELSEWHERE).json()[
        "parts"
    ]
    assert parts["database"]["connections"] >= 1


def test_a_proxy_on_this_machine_does_not_lend_its_trust(client, everybody_there):
    parts = client.get("/health", headers={"X-Forwarded-For": "203.0.113.9"}).json()["parts"]
    assert "connections" not in parts["database"]


def test_without_a_worker_for_a_leg_nothing_is_confirmed(client, everybody_there):
    _gone("worker:payments@here")
    code, overall, parts = states(client)
    assert (code, overall, parts["workers"]) == (503, "unhealthy", "unhealthy")
    assert client.get("/health").json()["parts"]["workers"]["detail"] == "No worker for payments."


def test_a_worker_that_lives_but_does_not_fetch_is_found_out(client, everybody_there):
    _beat("worker:payments@here", queues=["payments"], idleSeconds=health.DEAF_SECONDS + 1)
    with health.valkey(django_settings.BROKER_URL) as broker:
        broker.lpush("payments", "waiting")
        try:
            code, _, parts = states(client)
        finally:
            broker.delete("payments")
    assert (code, parts["workers"]) == (503, "unhealthy")


def test_mail_that_waits_is_no_reason_to_turn_orders_away(client, everybody_there):
    _gone("worker:notifications@here")
    code, overall, parts = states(client)
    assert (code, overall, parts["workers"]) == (200, "degraded", "degraded")


def test_without_a_dispatcher_orders_do_not_move(client, everybody_there):
    _gone("dispatcher")
    assert states(client)[:2] == (503, "unhealthy")


def test_without_a_live_server_it_is_degraded(client, everybody_there, settings):
    settings.LIVE_URL = f"http://127.0.0.1:{free_port()}"
    assert states(client)[:2] == (200, "degraded")


def test_a_schedule_that_stopped_is_told(client, everybody_there, monkeypatch):
    monkeypatch.setattr(health, "_started", time.monotonic() - 3600)
    ScheduledRun.objects.update(started_at=database_now() - timedelta(minutes=5))
    code, overall, parts = states(client)
    assert (code, overall, parts["beat"]) == (200, "degraded", "degraded")


def test_a_tick_in_the_future_says_nothing_about_today(client, everybody_there, monkeypatch):
    monkeypatch.setattr(health, "_started", time.monotonic() - 3600)
    ScheduledRun.objects.update(started_at=database_now() + timedelta(days=3))
    _, overall, parts = states(client)
    assert (overall, parts["beat"]) == ("degraded", "degraded")


def test_a_queue_whose_every_task_fails_is_not_healthy(client, everybody_there):
    _beat("worker:payments@here", queues=["payments"], idleSeconds=0.0, failedInARow=health.FAILURES_IN_A_ROW)
    code, overall, parts = states(client)
    assert (code, overall, parts["workers"]) == (503, "unhealthy", "unhealthy")
    detail = client.get("/health").json()["parts"]["workers"]["detail"]
    assert detail == "Every task from payments fails."
    # Another worker of the same queue does its work: orders move.
    _beat("worker:payments@there", queues=["payments"], idleSeconds=0.0, failedInARow=0)
    assert states(client)[2]["workers"] == "healthy"


def test_a_browser_gets_a_page_and_programs_get_json(client, everybody_there):
    page = client.get("/health", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "Orders are accepted and processed." in page.content.decode()
    for accept in ("*/*", "application/json", ""):
        assert client.get("/health", headers={"Accept": accept})["Content-Type"] == "application/json"
    _beat("worker:payments@here", queues=["payments"], idleSeconds=0.0, failedInARow=health.FAILURES_IN_A_ROW)
    health._report.forget()
    page = client.get("/health", headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert "Every task from payments fails." in page.content.decode()


def test_a_live_server_that_refuses_the_question_is_not_healthy(client, everybody_there, monkeypatch):
    monkeypatch.setattr(LiveServer, "status", 400)
    assert states(client)[2]["live"] == "degraded"


def test_a_provider_that_is_down_degrades_but_does_not_turn_orders_away(client, everybody_there):
    payments = breaker("payments")
    try:
        for _ in range(20):
            payments.record(payments.admit(), ok=False)
        code, overall, parts = states(client)
    finally:
        payments.reset()
    assert (code, overall, parts["providers"]) == (200, "degraded", "degraded")


def test_it_knows_the_migrations_without_importing_them():
    assert set(health.known_migrations()) == set(MigrationLoader(None).disk_migrations)


def test_missing_migrations_are_named(client, everybody_there, monkeypatch):
    monkeypatch.setattr(health, "_migrated", False)
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'scheduling' RETURNING name, applied")
        rows = cursor.fetchall()
    try:
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["parts"]["migrations"]["missing"] == [
            f"scheduling.{name}" for name, _ in sorted(rows)
        ]
    finally:
        with connections["default"].cursor() as cursor:
            cursor.executemany(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('scheduling', %s, %s)", rows
            )
    assert client.get("/health/ready").status_code == 200


@pytest.fixture
def database_away():
    address = connections.settings["default"]
    port, address["PORT"] = address["PORT"], free_port()
    yield
    address["PORT"] = port


def test_without_the_database_it_is_neither_ready_nor_able_but_alive(client, everybody_there, database_away):
    code, overall, parts = states(client)
    assert (code, overall, parts["database"]) == (503, "unhealthy", "unhealthy")
    assert states(client, "/health/ready")[0] == 503
    assert client.get("/health/live").status_code == 200


def test_a_login_does_not_make_health_depend_on_the_database(client, database_away):
    client.cookies[django_settings.SESSION_COOKIE_NAME] = "x" * 32
    assert client.get("/health/live").status_code == 200
    assert client.get("/health", **ELSEWHERE).status_code == 503


@pytest.fixture
def frozen_valkey(tmp_path):
    """A Valkey that takes connections and answers nothing."""
    engine = Valkey(folder=tmp_path / "valkey", port=free_port(), password=secrets.token_urlsafe())
    process = start_engine(engine)
    os.kill(process.pid, signal.SIGSTOP)
    cache = {"default": django_settings.CACHES["default"] | {"LOCATION": f"{engine.url}/1"}}
    urls = {
        name: f"{engine.url}/{db}" for db, name in enumerate(("BROKER_URL", "CACHE_URL", "CHANNEL_LAYER_URL"))
    }
    with override_settings(CACHES=cache, **urls):
        yield
    os.kill(process.pid, signal.SIGCONT)
    stop_engine(engine, process)


def test_a_frozen_valkey_is_told_and_held_against_all_that_lives_in_it(client, frozen_valkey):
    code, overall, parts = states(client)
    assert (code, overall) == (503, "unhealthy")
    assert [parts[name] for name in ("broker", "workers", "dispatcher")] == ["unhealthy"] * 3
    assert [parts[name] for name in ("cache", "channelLayer")] == ["degraded"] * 2
    assert parts["database"] == "healthy"
    # Orders are stored all the same.
    assert states(client, "/health/ready")[:2] == (200, "healthy")


def test_it_does_not_change_anything(client):
    assert client.post("/health").status_code == 405


def test_it_is_not_kept_by_caches_on_the_way(client):
    assert "no-store" in client.get("/health/live").headers["Cache-Control"]
