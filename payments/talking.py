"""How conversations with payment providers run: at once, on threads, or on the process's loop."""

import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, cast

from django.conf import settings

from payments.gateways import GatewayUnknown, gateway
from payments.gateways.protocol import PaymentGateway, Talk
from providers.concurrency import Gathered, concurrently
from providers.conversation import Conversation, hold
from providers.http import Call
from providers.http import provider as client
from providers.late import OnLate
from providers.loop import Job, Turn, loop
from providers.together import together

T = TypeVar("T")
Item = TypeVar("Item")


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


# Opens the conversation about an item, of a gateway's calls.
Opener = Callable[[Item, Talk], Conversation[T]]


def start(
    name: str,
    opens: Opener[Item, T],
    items: Sequence[Item],
    *,
    done: Callable[[Item, T | Exception], None],
    turn: Turn,
) -> None:
    """Run a conversation about each item in the background. `done`, which must not block, gets its result or error."""
    try:
        provider = gateway(name)
    except GatewayUnknown as error:  # configured no longer: its orders alone need attention
        for item in items:
            done(item, error)
        return
    talk, make = _transport(provider)
    jobs = [Job(opens(item, talk), partial(done, item)) for item in items]
    if is_handed_over(name):
        loop().submit(provider.provider, jobs, turn=turn)
        return
    for job in jobs:
        _threads(os.getpid()).submit(_run, job, make)


def _run(job: Job[T], make: Callable[[Call], Any]) -> None:
    try:
        result: T | Exception = hold(job.conversation, make)
    except Exception as error:  # noqa: BLE001 - `done` knows what to do
        result = error
    job.done(result)


@functools.lru_cache(maxsize=2)
def _threads(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 - threads do not survive a fork
    return ThreadPoolExecutor(settings.PROVIDER_CONCURRENCY, thread_name_prefix="gateway")


def hold_all(
    opens: Opener[Item, T],
    items: Sequence[Item],
    *,
    patience: float,
    on_late: OnLate[T],
    gateways: Sequence[str] = (),
) -> Gathered[T]:
    """Run a conversation about each item concurrently; return the results that arrive in time.

    `gateways` names the gateway of each; empty: the default. Raises GatewayUnknown before any call.
    """
    if len(set(gateways)) > 1:
        return _hold_groups(opens, items, patience=patience, on_late=on_late, gateways=gateways)
    name = gateways[0] if gateways else ""
    provider = gateway(name)
    talk, make = _transport(provider)
    conversations = [opens(item, talk) for item in items]
    if is_handed_over(name):
        return together(provider.provider, conversations, patience=patience, on_late=on_late)
    if not provider.waits:
        results = {place: hold(each, make) for place, each in enumerate(conversations)}
        return Gathered(results, frozenset())
    calls = [partial(hold, conversation, make) for conversation in conversations]
    return concurrently(calls, patience=patience, on_late=on_late)


def _transport(provider: PaymentGateway) -> tuple[Talk, Callable[[Call], Any]]:
    """Return a gateway's calls as conversations, and what makes these calls on a thread."""
    if provider.talk is None:
        return cast("Talk", Direct(provider)), _makes_none
    return provider.talk, lambda call: client(provider.provider).make(call)


def _hold_groups(
    opens: Opener[Item, T],
    items: Sequence[Item],
    *,
    patience: float,
    on_late: OnLate[T],
    gateways: Sequence[str],
) -> Gathered[T]:
    """Run conversations with several gateways, one gateway after the other."""
    places: dict[str, list[int]] = {}
    for place in range(len(items)):
        places.setdefault(gateways[place], []).append(place)
    for name in places:
        gateway(name)
    until = time.monotonic() + patience
    results: dict[int, T] = {}
    late: set[int] = set()
    for name, group in places.items():
        gathered = hold_all(
            opens,
            [items[place] for place in group],
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
