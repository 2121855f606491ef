"""What is not worth a line in the log."""

from collections.abc import MutableMapping
from typing import Any

import structlog

PROBES = ("/health", "/metrics")


def without_probes(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop the lines of requests that machines repeat every few seconds; their answers say what is wrong."""
    _, _, path = str(event.get("request", "")).partition(" ")
    if event.get("event") in ("request_started", "request_finished") and path.startswith(PROBES):
        raise structlog.DropEvent
    return event
