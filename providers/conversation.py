"""Conversations: what is asked of a provider and in which order, apart from how the calls travel.

A conversation is a generator. It yields calls, is sent the content of each answer (or has the provider's error
raised in it), and returns what came of it. The same conversation is held on a thread (`hold`) or, beside thousands
of others, on the process's loop (`providers.loop`).
"""

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import Call

T = TypeVar("T")

Conversation = Generator[Call, Any, T]

ERRORS = (ProviderUnavailable, OutcomeUnknown, ProviderRefused)


def reading(path: str, **query: str | int) -> Call:
    """Return a call that reads something and leaves nothing in doubt."""
    return Call("GET", path, query)


def doing(path: str, body: Mapping[str, Any], *, key: str) -> Call:
    """Return a call that has something done, once for the key."""
    return Call("POST", path, {}, json.dumps(body).encode(), key)


def hold(conversation: Conversation[T], make: Callable[[Call], Any]) -> T:
    """Hold a conversation on this thread. `make` returns the content of a call's answer or raises one of ERRORS."""
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
