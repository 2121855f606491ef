"""What is not worth a line in the log, and what must never stand in one."""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from telemetry.credentials import without_secrets

PROBES = ("/health", "/metrics")


def without_probes(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop the lines of requests that machines repeat every few seconds; their answers say what is wrong."""
    _, _, path = str(event.get("request", "")).partition(" ")
    if event.get("event") in ("request_started", "request_finished") and path.startswith(PROBES):
        raise structlog.DropEvent
    return event


class WithoutSecrets(structlog.stdlib.ProcessorFormatter):
    """Blacks out card numbers and credentials in every line, wherever in it they are: paths, values, tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return without_secrets(super().format(record))
