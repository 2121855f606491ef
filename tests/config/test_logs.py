"""What is logged of a request, and how often."""

import logging

import pytest
import structlog

from config.logs import ClientErrorsAsWarnings, WithoutSecrets, without_probes


@pytest.mark.parametrize("request_line", ["GET /health", "GET /health/ready", "GET /metrics"])
def test_probes_leave_no_lines(request_line):
    with pytest.raises(structlog.DropEvent):
        without_probes(None, "error", {"event": "request_finished", "request": request_line, "code": 503})


@pytest.mark.parametrize(
    "event",
    [
        {"event": "request_finished", "request": "GET /api/orders", "code": 503},
        {"event": "request_failed", "request": "GET /health"},
        {"event": "throttle_unavailable"},
    ],
)
def test_everything_else_is_kept(event):
    assert without_probes(None, "error", event) is event


def test_a_refused_request_is_told_of_once(client, db, caplog):
    handlers = [*logging.getLogger("django").handlers, *logging.getLogger("django.request").handlers]
    client.get("/there-is-nothing-here")

    assert handlers == []
    assert [record.name for record in caplog.records] == ["django_structlog.middlewares.request"]


@pytest.mark.parametrize(
    ("name", "level", "has_traceback"),
    [("django.security.DisallowedHost", "WARNING", False), ("orders.tasks", "ERROR", True)],
)
def test_what_a_client_causes_is_a_warning_without_a_traceback(name, level, has_traceback):
    error = (ValueError, ValueError("Invalid HTTP_HOST header"), None)
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, "told", (), error)
    [handler] = [each for each in logging.root.handlers if ClientErrorsAsWarnings in map(type, each.filters)]
    assert handler.filter(record)
    assert (record.levelname, bool(record.exc_info)) == (level, has_traceback)


def test_a_refused_request_is_told_of_without_what_lets_somebody_in(client, db, caplog):
    client.get("/there-is-nothing-here/4111111111111111?ticket=sesame")
    (line,) = (formatter().format(record) for record in caplog.records)

    assert "there-is-nothing-here/[card number]?ticket=[secret]" in line
    assert "sesame" not in line


def formatter() -> WithoutSecrets:
    """Return what formats the lines of every process."""
    found = (handler.formatter for handler in logging.getLogger().handlers)
    return next(each for each in found if isinstance(each, WithoutSecrets))
