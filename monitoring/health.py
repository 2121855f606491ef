"""Health checks: all parts concurrently, within two seconds.

`unhealthy` (503): orders cannot be stored or processed. `degraded`: a provider, mails or the live view fail.
"""

import importlib.util
import pkgutil
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import redis
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from monitoring.prober import Answer, Prober, Remembered
from monitoring.workers import PREFIX as WORKER
from notifications import restored
from orders.maintenance import canary
from orders.models import Batch
from providers.breaker import BreakerState, breaker
from providers.deadline import fetch
from providers.health import HealthReport, last_reports
from runtime import draining, heartbeats, nodes
from runtime.optional_valkey import fail_fast_client
from scheduling.slots import database_now, latest_start, stale_after

DEADLINE_SECONDS = 1.5
SOCKET_TIMEOUT_SECONDS = 0.5
LIVE_TIMEOUT_SECONDS = 1.0
DEAF_SECONDS = 15.0
FREE_BYTES_WANTED, FREE_BYTES_NEEDED = 1_000_000_000, 100_000_000
BEAT_INTERVAL = 10.0
CANARY_TIMEOUT = timedelta(seconds=30)
CLOCK_TOLERANCE = timedelta(seconds=5)
FAILURES_IN_A_ROW = 5


class State(StrEnum):
    """The state of a part, or of the whole system."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Finding:
    """A check's result. `summary` and `facts` may name addresses: for staff only."""

    state: State = State.HEALTHY
    summary: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    name: str
    finding: Finding
    milliseconds: float | None

    @property
    def state(self) -> State:
        return self.finding.state


@dataclass(frozen=True)
class Report:
    state: State
    parts: tuple[Part, ...]

    @property
    def is_able(self) -> bool:
        return self.state is not State.UNHEALTHY


# --- The parts --------------------------------------------------------------------------------------------


def database() -> Finding:
    """PostgreSQL takes new connections and answers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), current_setting('max_connections')::int, pg_is_in_recovery()"
            " FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        used, maximum, is_standby = cursor.fetchone()
    facts = {"connections": used, "maxConnections": maximum}
    if is_standby:
        return Finding(State.UNHEALTHY, "This server is a standby and takes no writes.", facts)
    if used > maximum * 0.9:
        return Finding(State.DEGRADED, f"{used} of {maximum} connections are taken.", facts)
    return Finding(facts=facts)


_started = time.monotonic()
_migrated = False


def migrations() -> Finding:
    """All migrations are applied. Checked until that is true, then cached."""
    global _migrated  # noqa: PLW0603 - final: this process's code does not change
    if not _migrated:
        applied = MigrationRecorder(connection).applied_migrations()
        missing = [f"{app}.{name}" for app, name in known_migrations() if (app, name) not in applied]
        if missing:
            return Finding(
                State.UNHEALTHY, f"{len(missing)} migrations are not applied.", {"missing": missing[:20]}
            )
        _migrated = True
    return Finding()


def known_migrations() -> Iterator[tuple[str, str]]:
    """Yield the app and the name of each migration, without importing it: all of them take 4 MB."""
    for app in apps.get_app_configs():
        package, _ = MigrationLoader.migrations_module(app.label)
        spec = importlib.util.find_spec(package) if package else None
        for module in pkgutil.iter_modules(spec.submodule_search_locations if spec else []):
            if not module.ispkg and module.name[0] not in "_~":
                yield app.label, module.name


def journal_part() -> Finding:
    """No reader is ahead of the journal, as after a restore into another cluster."""
    if restored.is_behind():
        return Finding(State.UNHEALTHY, "The database was restored; run `manage.py restored`.")
    return Finding()


def broker() -> Finding:
    """Valkey accepts a write; a full one still answers PING."""
    with valkey(settings.BROKER_URL) as client:
        client.set("health:probe", "1", ex=10)
    return Finding()


def cache_part() -> Finding:
    """The cache returns what was stored."""
    cache.set("health:probe", "kept", 10)
    if cache.get("health:probe") != "kept":
        return Finding(State.DEGRADED, "The cache does not return what was stored.")
    return Finding()


def channel_layer() -> Finding:
    """Valkey accepts hints for the live servers."""
    with valkey(settings.CHANNEL_LAYER_URL) as client:
        client.publish("live__health", "")
    return Finding()


def workers() -> Finding:
    """Each queue has a live worker that fetches."""
    with valkey(settings.BROKER_URL) as client:
        pipeline = client.pipeline(transaction=False)
        for queue in settings.QUEUES:
            pipeline.llen(queue)
        depths = dict(zip(settings.QUEUES, pipeline.execute(), strict=True))
    present = [p for p in heartbeats.present() if p.name.startswith(WORKER) and p.is_alive]
    idle = _least_by_queue(present, "idleSeconds")
    missing = [queue for queue in settings.QUEUES if queue not in idle]
    deaf = [queue for queue in idle if depths.get(queue) and idle[queue] > DEAF_SECONDS]
    failed = _least_by_queue(present, "failedInARow")
    failing = [queue for queue in failed if failed[queue] >= FAILURES_IN_A_ROW]
    facts = {"alive": len(present), "missing": missing, "notFetching": deaf, "failing": failing}
    return _judge_workers(missing, deaf, failing, facts)


def _least_by_queue(present: list[heartbeats.Presence], fact: str) -> dict[str, float]:
    """Return for each queue the fact of its best worker."""
    least: dict[str, float] = {}
    for worker in present:
        for queue in worker.facts.get("queues", []):
            least[queue] = min(least.get(queue, float("inf")), worker.facts.get(fact, 0.0))
    return least


def _judge_workers(
    missing: list[str], deaf: list[str], failing: list[str], facts: Mapping[str, Any]
) -> Finding:
    problems = [f"No worker for {', '.join(missing)}."] if missing else []
    problems += [f"Workers alive but not fetching from {', '.join(deaf)}."] if deaf else []
    problems += [f"Every task from {', '.join(failing)} fails."] if failing else []
    if not problems:
        return Finding(facts=facts)
    # Orders complete without the notifications queue only.
    only_mail = {*missing, *deaf, *failing} == {"notifications"}
    return Finding(State.DEGRADED if only_mail else State.UNHEALTHY, " ".join(problems), facts)


def dispatcher() -> Finding:
    age = heartbeats.alive().get("dispatcher")
    if age is None:
        return Finding(State.UNHEALTHY, "No dispatcher is alive: orders are accepted but not processed.")
    return Finding(facts={"lastSeenSeconds": round(age, 1)})


def live() -> Finding:
    """The live server's event loop answers."""
    answer = fetch("GET", f"{settings.LIVE_URL}/health/live", seconds=LIVE_TIMEOUT_SECONDS)
    if answer.status_code != HTTPStatus.OK:
        return Finding(State.DEGRADED, f"The live server answers with {answer.status_code}.")
    return Finding()


def beat() -> Finding:
    """Beat's tick passed through a queue recently; ignored right after a start."""
    now = database_now()
    last = latest_start("beat", until=now)
    facts = {"lastTick": last.isoformat() if last else None}
    limit = stale_after(BEAT_INTERVAL)
    if (last and now - last <= limit) or time.monotonic() - _started < limit.total_seconds():
        return Finding(facts=facts)
    since = f"since {last:%Y-%m-%d %H:%M:%S} UTC" if last else "so far"
    return Finding(State.DEGRADED, f"No scheduled task has run {since}.", facts)


def canary_part() -> Finding:
    if not settings.CANARY_INTERVAL:
        return Finding(facts={"lastSuccess": None, "off": True})
    flight, now = canary.flight(), database_now()
    facts = {
        "lastSuccess": flight.last_success_at.isoformat() if flight.last_success_at else None,
        "seconds": flight.last_seconds,
    }
    if flight.waiting_since and flight.waiting_since - now > CLOCK_TOLERANCE:
        return Finding(State.DEGRADED, "A canary was placed in the future: the clock was set back.", facts)
    return Finding(*_judge_flight(flight, now), facts)


def _judge_flight(flight: canary.Flight, now: datetime) -> tuple[State, str]:
    if flight.waiting_since and now - flight.waiting_since > CANARY_TIMEOUT:
        since = f"since {flight.waiting_since:%H:%M:%S}"
        if flight.waits_outside:
            return State.DEGRADED, f"A canary waits for {flight.waits_for} {since}."
        # With a backlog the canary waits.
        if not flight.waits_for and _batches_finish(now):
            return State.DEGRADED, f"A canary has been under way {since}; there is a backlog."
        why = flight.waits_for or "a queue is not read"
        return State.UNHEALTHY, f"A canary has been under way {since}: {why}."
    if flight.refused:
        return State.DEGRADED, f"The last canary was refused: {flight.refused}."
    limit = stale_after(settings.CANARY_INTERVAL)
    sent = flight.last_sent_at
    if time.monotonic() - _started < limit.total_seconds() or (
        sent and -CLOCK_TOLERANCE <= now - sent <= limit
    ):
        return State.HEALTHY, ""
    return State.DEGRADED, "No canary has been sent for a while."


def _batches_finish(now: datetime) -> bool:
    latest = Batch.objects.order_by("-pk")[:100].values_list("finished_at", flat=True)
    return any(at and now - at < CANARY_TIMEOUT / 2 for at in latest)


def providers() -> Finding:
    """All providers answer, by their last scheduled check and their breakers."""
    reports = last_reports()
    facts = {name: _provider_facts(breaker(name).state(), reports.get(name)) for name in settings.PROVIDERS}
    failing = [name for name, fact in facts.items() if fact["breaker"] != "closed" or fact["ok"] is False]
    if failing:
        return Finding(State.DEGRADED, f"Failing: {', '.join(failing)}. Orders wait for them.", facts)
    return Finding(facts=facts)


def _provider_facts(state: BreakerState, report: HealthReport | None) -> dict[str, Any]:
    return {
        "breaker": state.state,
        "ok": report.ok if report else None,
        "latencyMs": report.latency_ms if report else None,
        "checkedAt": report.checked_at.isoformat() if report else None,
        "detail": report.detail if report else "not checked yet",
    }


def nodes_part() -> Finding:
    """No node of the cluster is missing; the others take over a missing one's work."""
    if not settings.NATS_URL:
        return Finding()
    known = nodes.known()
    facts = {"present": [node["node"] for node in known.present], "missing": known.missing}
    if known.missing:
        return Finding(State.DEGRADED, f"Missing: {', '.join(known.missing)}.", facts)
    return Finding(facts=facts)


def disk() -> Finding:
    """The data folder's disk has free space."""
    folder = settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR
    free = shutil.disk_usage(folder).free
    return Finding(
        _by_free_bytes(free),
        "" if free >= FREE_BYTES_WANTED else "Little disk space is left.",
        {"freeBytes": free},
    )


def _by_free_bytes(free: int) -> State:
    if free < FREE_BYTES_NEEDED:
        return State.UNHEALTHY
    return State.DEGRADED if free < FREE_BYTES_WANTED else State.HEALTHY


def valkey(url: str) -> redis.Redis:
    return fail_fast_client(url, seconds=SOCKET_TIMEOUT_SECONDS)


# --- All parts ------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[], Finding]] = {
    "database": database,
    "migrations": migrations,
    "journal": journal_part,
    "broker": broker,
    "cache": cache_part,
    "channelLayer": channel_layer,
    "workers": workers,
    "dispatcher": dispatcher,
    "beat": beat,
    "live": live,
    "providers": providers,
    "canary": canary_part,
    "nodes": nodes_part,
    "disk": disk,
}
# Orders cannot be stored or processed without these; a failure of another part only degrades the system.
VITAL = frozenset({"database", "migrations", "broker", "workers", "dispatcher", "canary", "disk"})
NEEDED_TO_STORE = ("database", "migrations")
DRAINING = Part("draining", Finding(State.UNHEALTHY, "This node is about to stop."), None)

_everything = Prober(PARTS)
_storing = Prober({name: PARTS[name] for name in NEEDED_TO_STORE})


def report() -> Report:
    """Return the health of every part, cached for a second."""
    return _report.get()


_able_at = float("-inf")


def readiness() -> Report:
    """Whether orders can be stored: the database answers and is migrated, and this node goes on."""
    global _able_at  # noqa: PLW0603
    if draining.is_draining():
        return Report(State.UNHEALTHY, (DRAINING,))
    found = _judge(_storing.ask(seconds=DEADLINE_SECONDS))
    if found.is_able:
        _able_at = time.monotonic()
    elif time.monotonic() - _able_at < settings.FAILOVER_WAIT_SECONDS:
        # Requests wait for the new leader; a balancer that takes all nodes out would make them wait longer.
        return Report(State.DEGRADED, found.parts)
    return found


def _judge(answers: Mapping[str, Answer]) -> Report:
    parts = tuple(_part(name, answer) for name, answer in answers.items())
    return Report(_overall(parts), parts)


def _part(name: str, answer: Answer) -> Part:
    milliseconds = None if answer.seconds is None else round(answer.seconds * 1000, 1)
    if isinstance(answer.value, Finding):
        return Part(name, answer.value, milliseconds)
    state = State.UNHEALTHY if name in VITAL else State.DEGRADED
    summary = f"{type(answer.error).__name__}: {answer.error}" if answer.is_back else "No answer in time."
    return Part(name, Finding(state, summary), milliseconds)


def _overall(parts: tuple[Part, ...]) -> State:
    if any(part.name in VITAL and part.state is State.UNHEALTHY for part in parts):
        return State.UNHEALTHY
    return State.HEALTHY if all(part.state is State.HEALTHY for part in parts) else State.DEGRADED


_report = Remembered(lambda: _judge(_everything.ask(seconds=DEADLINE_SECONDS)), seconds=1.0)
