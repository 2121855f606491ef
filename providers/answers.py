"""Reading what a provider answered, and telling an answer from noise."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from telemetry.card_numbers import masked

LARGEST_ANSWER = 4_000_000  # bytes
LONGEST_RETRY_AFTER_SECONDS = 5.0

TRY_AGAIN = {408, 425, 429}  # and everything from 500; any other 4xx is a refusal
NOTHING_DONE = {425, 429}  # turned away at the door; the others may have failed after the deed

NOT_JSON = object()


class TryFailed(Exception):
    """One try came to nothing, or to nobody knows what."""

    def __init__(
        self, reason: str, *, in_doubt: bool, worth_another: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.in_doubt = in_doubt  # it may have been done all the same
        self.worth_another = worth_another
        self.retry_after = retry_after  # seconds


@dataclass(frozen=True)
class Answer:
    """A success with JSON in it, or a refusal."""

    status: int
    content: Any

    @property
    def is_refusal(self) -> bool:
        return self.status >= 400

    @property
    def error(self) -> tuple[str, str]:
        """The code and message of a refusal, from the body where it has them."""
        try:
            return masked(str(self.content["error"]["code"])), masked(str(self.content["error"]["message"]))
        except (LookupError, TypeError):
            return f"http_{self.status}", f"Answered with status {self.status}."


def read_answer(response: requests.Response, *, until: float) -> Answer:
    """Read the answer to its end by `until`, a monotonic time. Raises TryFailed when it tells us nothing."""
    body = _read_body(response, until)
    return judged(response.status_code, body, _retry_after(response))


def judged(status: int, body: bytes, retry_after: float | None) -> Answer:
    """Return what an answer that was read to its end tells us; raises TryFailed when that is nothing."""
    if status in TRY_AGAIN or status >= 500:
        raise TryFailed(f"it answered {status}", in_doubt=status not in NOTHING_DONE, retry_after=retry_after)
    if 300 <= status < 400:
        raise TryFailed(f"it answered {status}", in_doubt=True, worth_another=False)
    content = _parse(body)
    if status < 300 and content is NOT_JSON:
        raise TryFailed("its answer is not JSON", in_doubt=True)
    return Answer(status, content)


def _read_body(response: requests.Response, until: float) -> bytes:
    """The body, unless it is endless or drips."""
    body = bytearray()
    while chunk := response.raw.read1(65536):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise TryFailed(f"its answer exceeds {LARGEST_ANSWER} bytes", in_doubt=True)
        if time.monotonic() > until:
            raise TryFailed("its answer did not end in time", in_doubt=True)
    return bytes(body)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return NOT_JSON


def _retry_after(response: requests.Response) -> float | None:
    """Seconds, from a header that says seconds or a date; within reason."""
    header = response.headers.get("Retry-After", "")
    try:
        wait = float(header) if header.isdecimal() else _seconds_until(header)
    except ValueError:
        return None
    return min(max(0.0, wait), LONGEST_RETRY_AFTER_SECONDS)


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment - datetime.now(moment.tzinfo and UTC)).total_seconds()
