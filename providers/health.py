"""Scheduled health checks of the providers, stored for the status page."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from django.conf import settings

from providers.concurrency import concurrently
from providers.errors import ProviderRefused, ProviderUnavailable
from providers.http import provider
from providers.shared import shared_memory

REPORTS = "provider-health"
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class HealthReport:
    """A provider's answer to its health check."""

    provider: str
    ok: bool
    latency_ms: float
    detail: str  # the cause; empty if healthy
    checked_at: datetime


def check_all(now: datetime) -> list[HealthReport]:
    """Check every provider, even if its breaker is open, and store the reports."""
    names = list(settings.PROVIDERS)
    checks = [partial(_check, name, now) for name in names]
    gathered = concurrently(
        checks,
        patience=PATIENCE_SECONDS,
        on_late=lambda late: _remember([report for _, report in late]),
        pool="health",
        places=len(names),
    )
    reports = [gathered.results.get(place) or _no_answer(name, now) for place, name in enumerate(names)]
    _remember(reports)
    return reports


def last_reports() -> dict[str, HealthReport]:
    """Return the last reports by provider; empty before the first check and without Valkey."""
    stored: dict[Any, Any] = shared_memory().ask(lambda valkey: valkey.hgetall(REPORTS), otherwise={})
    reports = {name: _from_json(text) for name, text in stored.items() if name in settings.PROVIDERS}
    return {name: report for name, report in reports.items() if report is not None}


def _check(name: str, now: datetime) -> HealthReport:
    started = time.perf_counter()
    detail = ""
    try:
        provider(name).check(settings.PROVIDER_HEALTH_PATHS.get(name, "/health"))
    except (ProviderUnavailable, ProviderRefused) as trouble:
        detail = str(trouble)
    latency_ms = round((time.perf_counter() - started) * 1000, 1)
    return HealthReport(name, not detail, latency_ms, detail, now)


def _no_answer(name: str, now: datetime) -> HealthReport:
    return HealthReport(name, False, PATIENCE_SECONDS * 1000, f"{name} did not answer in time", now)  # noqa: FBT003


def _remember(reports: list[HealthReport]) -> None:
    stored: dict[Any, Any] = {
        report.provider: json.dumps(asdict(report), default=datetime.isoformat) for report in reports
    }
    shared_memory().ask(lambda valkey: valkey.hset(REPORTS, mapping=stored), otherwise=0)


def _from_json(text: str) -> HealthReport | None:
    """Parse a report; anyone with access to Valkey may have written it."""
    try:
        return msgspec.json.decode(text, type=HealthReport)
    except (msgspec.DecodeError, UnicodeError):
        return None
