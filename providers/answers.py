"""Parsing providers' answers, ledger lines and webhooks.

The `read_` functions check type and size, and raise `Unreadable` for anything else.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from telemetry.card_numbers import masked

LARGEST_ANSWER = 4_000_000  # bytes
LONGEST_LINE = 64 * 1024  # bytes, per line of a stream
LONGEST_ID, LONGEST_CODE, LONGEST_MESSAGE = 64, 40, 200  # characters
LARGEST_AMOUNT = Decimal(10) ** 12
LARGEST_COUNT = 2**31 - 1
LONGEST_RETRY_AFTER_SECONDS = 5.0
# The code of a refusal that has none.
REFUSED = "refused"

TRY_AGAIN = {408, 425, 429}  # also from 500; any other 4xx is a refusal
NOTHING_DONE = {425, 429}  # the others may have failed after execution

NOT_JSON = object()

AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,8})?", re.ASCII)


class Unreadable(Exception):
    """Part of the input is missing, of another type, or too long."""


class TryFailed(Exception):
    """One try failed, or its outcome is unknown."""

    def __init__(
        self, reason: str, *, in_doubt: bool, worth_another: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.in_doubt = in_doubt  # it may have been executed
        self.worth_another = worth_another
        self.retry_after = retry_after  # seconds


@dataclass(frozen=True)
class Answer:
    """A success with JSON, or a refusal."""

    status: int
    content: Any

    @property
    def is_refusal(self) -> bool:
        return self.status >= 400

    @property
    def error(self) -> tuple[str, str]:
        """The code and message of a refusal; REFUSED without a code, with the status in the message."""
        error = self.content.get("error") if isinstance(self.content, dict) else None
        code = read_words(error, "code", longest=LONGEST_CODE)
        message = read_words(error, "message", longest=LONGEST_MESSAGE)
        return (code, message) if code else (REFUSED, f"{message} (status {self.status})".strip())


def read_answer(response: requests.Response, *, until: float) -> Answer:
    """Read the answer by `until`, a monotonic time. Raises TryFailed if unusable."""
    body = _read_body(response, until)
    return judged(response.status_code, body, _retry_after(response))


def judged(status: int, body: bytes, retry_after: float | None) -> Answer:
    if status in TRY_AGAIN or status >= 500:
        raise TryFailed(f"it answered {status}", in_doubt=status not in NOTHING_DONE, retry_after=retry_after)
    if 300 <= status < 400:
        raise TryFailed(f"it answered {status}", in_doubt=True, worth_another=False)
    content = parse(body)
    if status < 300 and content is NOT_JSON:
        raise TryFailed("its answer is not JSON", in_doubt=True)
    return Answer(status, content)


def _read_body(response: requests.Response, until: float) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(65536):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise TryFailed(f"its answer exceeds {LARGEST_ANSWER} bytes", in_doubt=True)
        _check_time(until)
    _check_time(until)  # a socket that was shut down reads as end of file
    return bytes(body)


def _check_time(until: float) -> None:
    if time.monotonic() > until:
        raise TryFailed("its answer did not end in time", in_doubt=True)


def read_lines(response: requests.Response) -> Iterator[Any]:
    """Yield the JSON value of each line; NOT_JSON for one that is invalid or too long."""
    rest, is_too_long = b"", False
    while chunk := response.raw.read1(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield NOT_JSON if is_too_long or len(line) > LONGEST_LINE else parse(line)
            is_too_long = False
        if len(rest) > LONGEST_LINE:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield NOT_JSON if is_too_long else parse(rest)


def parse(body: bytes) -> Any:
    """Return the JSON value; NOT_JSON if invalid."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return NOT_JSON


def _retry_after(response: requests.Response) -> float | None:
    header = response.headers.get("Retry-After", "")
    try:
        wait = float(header) if header.isdecimal() else _seconds_until(header)
    except ValueError:
        return None
    return min(max(0.0, wait), LONGEST_RETRY_AFTER_SECONDS)


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment - datetime.now(moment.tzinfo and UTC)).total_seconds()


# --- Fields of an answer ----------------------------------------------------------------------------------


def read_id(content: Any, name: str, *, longest: int = LONGEST_ID) -> str:
    """Return an identifier: printable text or an integer. Raises Unreadable."""
    value = _field(content, name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise Unreadable(f"{name} is not 1 to {longest} printable characters")
    return value


def read_words(content: Any, name: str, *, longest: int) -> str:
    """Return text for display: shortened, printable, without card numbers; may be empty."""
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, str | int | float):
        return ""
    printable = "".join(char if char.isprintable() else " " for char in str(value)[: longest * 4])
    return masked(printable)[:longest].strip()


def read_amount(content: Any, name: str) -> Decimal:
    """Return an amount of money. Raises Unreadable, also for NaN or 1e400."""
    value = _field(content, name)
    text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    try:
        amount = Decimal(text) if len(text) <= 32 and AMOUNT.fullmatch(text) else None
    except InvalidOperation:
        amount = None
    if amount is None or abs(amount) > LARGEST_AMOUNT:
        raise Unreadable(f"{name} is no amount")
    return amount


def read_count(content: Any, name: str) -> int:
    """Return a count. Raises Unreadable."""
    value = _field(content, name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_COUNT:
        raise Unreadable(f"{name} is no number of things")
    return value


def read_list(content: Any, name: str) -> list[Any]:
    """Return a list. Raises Unreadable."""
    value = _field(content, name)
    if not isinstance(value, list):
        raise Unreadable(f"{name} is no list")
    return value


def _field(content: Any, name: str) -> Any:
    if not isinstance(content, dict) or name not in content:
        raise Unreadable(f"{name} is missing")
    return content[name]
