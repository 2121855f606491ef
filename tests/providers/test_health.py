"""What the scheduled look at the providers finds, and remembers."""

from datetime import UTC, datetime

import pytest

from launcher.engines import free_port
from providers.breaker import Admission, breaker
from providers.health import check_all, last_reports
from tests.waiting import until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def sandbox(providers_at_sandbox):
    return providers_at_sandbox


def test_it_reports_who_is_well_and_who_is_not(sandbox):
    sandbox.set_faults("email", down=True)

    reports = {report.provider: report for report in check_all(NOW)}

    assert {name: report.ok for name, report in reports.items()} == {
        "payments": True,
        "inventory": True,
        "email": False,
    }
    assert "email is unavailable" in reports["email"].detail
    assert all(report.latency_ms > 0 and report.checked_at == NOW for report in reports.values())


def test_it_remembers_the_last_reports(sandbox):
    reports = check_all(NOW)

    assert last_reports() == {report.provider: report for report in reports}


def test_it_asks_a_provider_whose_breaker_is_open_and_invites_a_probe(sandbox):
    def is_open() -> bool:
        """No request is refused just after Valkey was slow to answer."""
        for _ in range(10):
            breaker("payments").record(Admission(allowed=True), ok=False)
        return not breaker("payments").admit().allowed

    until(is_open)

    assert all(report.ok for report in check_all(NOW))

    assert breaker("payments").admit().probe


def test_it_works_without_valkey(settings, sandbox):
    settings.CACHE_URL = f"redis://127.0.0.1:{free_port()}/1"

    assert all(report.ok for report in check_all(NOW))
    assert last_reports() == {}
