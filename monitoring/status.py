"""The system's current state, for operators and the live board."""

import platform
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import django
from django.conf import settings
from django.db import connection
from django_celery_beat.models import PeriodicTask

from monitoring.health import valkey
from monitoring.nodes import machines
from monitoring.prober import Answer, Prober, Remembered
from monitoring.workers import PREFIX as WORKER
from orders.operators import money_at_risk
from orders.reporting import stats
from providers.breaker import BreakerState, breaker
from providers.health import HealthReport, last_reports
from runtime import heartbeats
from scheduling.slots import has_failed, latest_runs

DEADLINE_SECONDS = 3.0

_started = time.time()


def orders() -> dict[str, Any]:
    """Return orders by state, the backlog, batches in flight, and what needs attention."""
    backlog = stats.backlog()
    count, first = stats.attention()
    return {
        "byState": {
            state: {"orders": found.orders, "estimated": found.is_estimate}
            for state, found in stats.orders_by_state().items()
        },
        "due": backlog.due,
        "dueLater": backlog.later,
        "oldestDue": {"orderNumber": backlog.oldest_order, "lateSeconds": round(backlog.oldest_seconds, 3)}
        if backlog.oldest_order
        else None,
        "needsAttention": {
            "orders": count,
            "first": [{"orderNumber": a.number, "status": a.status, "why": a.why} for a in first],
        },
        "moneyAtRisk": [
            {"currency": at_risk.currency, "orders": at_risk.orders, "amount": at_risk.amount}
            for at_risk in money_at_risk.sums_at_risk()
        ],
        "batches": [
            {"id": batch.id, "orders": batch.size, "seconds": round(batch.seconds, 3)}
            for batch in stats.batches_under_way()
        ],
    }


def queues() -> dict[str, Any]:
    """Return waiting and unacknowledged messages per queue."""
    with valkey(settings.BROKER_URL) as client:
        pipeline = client.pipeline(transaction=False)
        for queue in settings.QUEUES:
            pipeline.llen(queue)
        depths = pipeline.execute()
    taken = _taken_by_queue()
    return {
        queue: {"depth": depth, "unacknowledged": taken[queue]}
        for queue, depth in zip(settings.QUEUES, depths, strict=True)
    }


def _taken_by_queue() -> Counter[str]:
    """Sum up the unacknowledged messages that live workers reported."""
    alive = [p for p in heartbeats.present() if p.is_alive and p.name.startswith(WORKER)]
    return sum((Counter(p.facts.get("taken", {})) for p in alive), Counter())


def processes() -> dict[str, Any]:
    """Return all processes that sent a heartbeat within the last hour."""
    present = heartbeats.present()
    return {
        "workers": [_worker(p) for p in present if p.name.startswith(WORKER)],
        "others": [{"name": p.name, **_process(p)} for p in present if not p.name.startswith(WORKER)],
    }


def _worker(presence: heartbeats.Presence) -> dict[str, Any]:
    facts = dict(presence.facts)
    started = facts.pop("startedAt", None)
    return {
        "name": presence.name.removeprefix(WORKER),
        **_process(presence),
        "uptimeSeconds": round(time.time() - started) if started else None,
        **facts,
    }


def _process(presence: heartbeats.Presence) -> dict[str, Any]:
    return {
        "alive": presence.is_alive,
        "node": presence.node,
        "pid": presence.pid,
        "lastSeenSeconds": round(presence.age_seconds, 1),
    }


def schedule() -> dict[str, Any]:
    """Return beat's last tick, the schedule, and the latest run of each entry."""
    runs = latest_runs()
    tick = next((run for run in runs if run.name == "beat"), None)
    return {
        "lastTick": tick.started_at if tick else None,
        "entries": [
            {
                "name": entry.name,
                "task": entry.task,
                "enabled": entry.enabled,
                "every": str(entry.interval or entry.crontab or entry.solar or entry.clocked),
            }
            for entry in PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked")
        ],
        "runs": [
            {
                "name": run.name,
                "startedAt": run.started_at,
                "finishedAt": run.finished_at,
                "failed": has_failed(run),
                "outcome": run.outcome[-300:],
            }
            for run in runs
        ],
    }


def providers() -> dict[str, Any]:
    reports = last_reports()
    return {
        name: {"url": url, "breaker": _breaker(breaker(name).state()), "lastCheck": _check(reports.get(name))}
        for name, url in settings.PROVIDERS.items()
    }


def _breaker(state: BreakerState) -> dict[str, Any]:
    return {
        "state": state.state,
        "failures": state.failures,
        "calls": state.calls,
        "openedAt": state.opened_at,
        "retryAt": state.retry_at,
    }


def _check(report: HealthReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "ok": report.ok,
        "latencyMs": report.latency_ms,
        "detail": report.detail,
        "checkedAt": report.checked_at,
    }


def versions() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgres = cursor.fetchone()[0]
    with valkey(settings.BROKER_URL) as client:
        server = client.info("server")
    return {
        "python": platform.python_version(),
        "django": django.get_version(),
        "celery": version("celery"),
        "postgresql": postgres,
        "valkey": server.get("valkey_version") or f"Redis {server['redis_version']}",
    }


QUESTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "orders": orders,
    "queues": queues,
    "processes": processes,
    "schedule": schedule,
    "providers": providers,
    "versions": versions,
    "nodes": machines,
}
_prober = Prober(QUESTIONS)


def status() -> dict[str, Any]:
    """Return the whole state, at most two seconds old. Unknown parts are null, with the reason."""
    return _status.get()


def _read() -> dict[str, Any]:
    answers = _prober.ask(seconds=DEADLINE_SECONDS)
    return {
        "node": settings.NODE,
        "uptimeSeconds": round(time.time() - _started),
        "demo": settings.DEMO,
        **{name: answer.value for name, answer in answers.items()},
        "notKnown": {name: _why(answer) for name, answer in answers.items() if answer.value is None},
    }


def _why(answer: Answer) -> str:
    return f"{type(answer.error).__name__}: {answer.error}".strip() if answer.is_back else "no answer in time"


_status = Remembered(_read, seconds=1.5)
