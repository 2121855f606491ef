"""Conversations: the order of calls to a provider, independent of transport.

A generator yields calls, receives answers or errors, and returns an outcome. It runs on a thread (`hold`) or
on the loop (`providers.loop`).
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

import msgspec

from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import Call

T = TypeVar("T")

Conversation = Generator[Call, Any, T]

ERRORS = (ProviderUnavailable, OutcomeUnknown, ProviderRefused)


def reading(path: str, **query: str | int) -> Call:
    """Return a call without side effects."""
    return Call("GET", path, query)


def doing(path: str, body: Mapping[str, Any], *, key: str) -> Call:
    """Return a call that is executed once per key."""
    return Call("POST", path, {}, msgspec.json.encode(body), key)


def hold(conversation: Conversation[T], make: Callable[[Call], Any]) -> T:
    """Run a conversation on this thread. `make` returns an answer's content."""
    try:
        call = next(conversation)
        while True:
            try:
                content = make(call)
            except ERRORS as error:
                call = conversation.throw(error)
            else:
                call = conversation.send(content)
    except StopIteration as end:
        result: T = end.value
        return result
