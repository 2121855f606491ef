"""How conversations with payment providers run: at once, on threads, or on the process's loop."""

import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from django.conf import settings

from payments.gateways import gateway
from payments.gateways.protocol import PaymentGateway, Talk
from providers.concurrency import Gathered, concurrently
from providers.conversation import Conversation, hold
from providers.http import Call
from providers.http import provider as client
from providers.late import OnLate
from providers.loop import Job, Turn, loop
from providers.together import together

T = TypeVar("T")


class Direct:
    """A gateway's own methods as conversations without calls."""

    def __init__(self, provider: PaymentGateway) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Callable[..., Conversation[Any]]:
        method = getattr(self._provider, name)

        def conversation(**how: Any) -> Conversation[Any]:
            return method(**how)
            yield

        # Found here for the other calls of the batch.
        setattr(self, name, conversation)
        return conversation


def is_handed_over(name: str = "") -> bool:
    """Whether a gateway's calls go to the process's loop, so that no batch waits for them."""
    return settings.PROVIDER_HANDOVER and gateway(name).talk is not None


def provider_name(name: str = "") -> str:
    return gateway(name).provider


Started = tuple[Conversation[T], Callable[[T | Exception], None]]


def start(name: str, conversations: Sequence[Started[T]], *, turn: Turn) -> None:
    """Run conversations made by `talk` in the background. What is beside each gets its result or error.

    That must not block.
    """
    provider = gateway(name)
    if is_handed_over(name):
        jobs = [Job(conversation, done) for conversation, done in conversations]
        loop().submit(provider.provider, jobs, turn=turn)
        return
    for conversation, done in conversations:
        _threads(os.getpid()).submit(_run, conversation, _caller(provider), done)


def _run(
    conversation: Conversation[T], make: Callable[[Call], Any], done: Callable[[T | Exception], None]
) -> None:
    try:
        result: T | Exception = hold(conversation, make)
    except Exception as error:  # noqa: BLE001 - whoever started it knows what to do
        result = error
    done(result)


@functools.lru_cache(maxsize=2)
def _threads(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not survive a fork
    return ThreadPoolExecutor(settings.PROVIDER_CONCURRENCY, thread_name_prefix="gateway")


def talk(name: str = "") -> Talk:
    """Return a gateway's calls as conversations for `hold_all` or `start`."""
    provider = gateway(name)
    return provider.talk or cast("Talk", Direct(provider))


def _caller(provider: PaymentGateway) -> Callable[[Call], Any]:
    """Return what makes the calls of a gateway's conversations on a thread."""
    return client(provider.provider).make if provider.talk else _makes_none


def hold_all(
    conversations: Sequence[Conversation[T]],
    *,
    patience: float,
    on_late: OnLate[T],
    gateways: Sequence[str] = (),
) -> Gathered[T]:
    """Run conversations made by `talk` concurrently; return the results that arrive in time.

    `gateways` names the gateway of each; empty: the default.
    """
    if len(set(gateways)) > 1:
        return _hold_groups(conversations, patience=patience, on_late=on_late, gateways=gateways)
    name = gateways[0] if gateways else ""
    provider = gateway(name)
    if is_handed_over(name):
        return together(provider.provider, conversations, patience=patience, on_late=on_late)
    make = _caller(provider)
    if not provider.waits:
        results = {place: hold(each, make) for place, each in enumerate(conversations)}
        return Gathered(results, frozenset())
    calls = [partial(hold, conversation, make) for conversation in conversations]
    return concurrently(calls, patience=patience, on_late=on_late)


def _hold_groups(
    conversations: Sequence[Conversation[T]],
    *,
    patience: float,
    on_late: OnLate[T],
    gateways: Sequence[str],
) -> Gathered[T]:
    """Run the conversations of several gateways, one gateway after the other."""
    places: dict[str, list[int]] = {}
    for place in range(len(conversations)):
        places.setdefault(gateways[place], []).append(place)
    until = time.monotonic() + patience
    results: dict[int, T] = {}
    late: set[int] = set()
    for name, group in places.items():
        gathered = hold_all(
            [conversations[place] for place in group],
            patience=max(0.0, until - time.monotonic()),
            on_late=partial(_at, group, on_late),
            gateways=[name],
        )
        results |= {group[index]: result for index, result in gathered.results.items()}
        late |= {group[index] for index in gathered.late}
    return Gathered(results, frozenset(late))


def _at(group: Sequence[int], on_late: OnLate[T], late: Sequence[tuple[int, T]]) -> None:
    on_late([(group[index], result) for index, result in late])


def _makes_none(_call: object) -> Any:
    raise AssertionError("a direct conversation makes no call")
