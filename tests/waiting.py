"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, seconds: float = 20.0) -> T:
    """Return the condition's value as soon as it is true; AssertionError if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"Still waiting after {seconds} s."
        time.sleep(0.02)
    return value
