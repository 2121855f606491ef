"""Filters of the log: drops probes, masks secrets, lowers what clients cause."""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from telemetry.credentials import without_secrets

PROBES = ("/health", "/metrics")


def without_probes(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop request lines of health checks and scrapes."""
    _, _, path = str(event.get("request", "")).partition(" ")
    if event.get("event") in ("request_started", "request_finished") and path.startswith(PROBES):
        raise structlog.DropEvent
    return event


class WithoutSecrets(structlog.stdlib.ProcessorFormatter):
    """Masks card numbers and credentials in whole lines, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class ClientErrorsAsWarnings(logging.Filter):
    """Makes one warning without a traceback of what any client can cause, such as a wrong Host."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
        return True
