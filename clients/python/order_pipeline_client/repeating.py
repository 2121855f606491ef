"""Repeats requests that may be repeated: reads, and writes with an Idempotency-Key."""

import time
from collections.abc import Callable

import httpx

TRY_LATER = (429, 503)
LONGEST_WAIT_SECONDS = 30.0


class RepeatingTransport(httpx.BaseTransport):
    """Repeats after lost connections, and as `Retry-After` says."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        *,
        attempts: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner, self._attempts, self._sleep = inner, attempts, sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the first final answer. Raises httpx.TransportError after the last attempt."""
        attempts = self._attempts if _may_be_repeated(request) else 1
        for attempt in range(1, attempts):
            try:
                response = self._inner.handle_request(request)
            except httpx.TransportError:
                self._sleep(_pause(attempt))
                continue
            if not _is_for_later(response):
                return response
            response.close()
            self._sleep(_wait(response, attempt))
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def _may_be_repeated(request: httpx.Request) -> bool:
    return request.method in ("GET", "HEAD") or "Idempotency-Key" in request.headers


def _is_for_later(response: httpx.Response) -> bool:
    # 409 with Retry-After: the first request with this key is still in progress.
    is_in_progress = response.status_code == 409 and "Retry-After" in response.headers
    return response.status_code in TRY_LATER or is_in_progress


def _wait(response: httpx.Response, attempt: int) -> float:
    told = response.headers.get("Retry-After", "")
    return min(LONGEST_WAIT_SECONDS, float(told)) if told.isdigit() else _pause(attempt)


def _pause(attempt: int) -> float:
    return min(LONGEST_WAIT_SECONDS, 0.25 * 2**attempt)
