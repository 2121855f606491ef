"""How conversations with the payment provider run: at once, on threads, or on the process's loop."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from django.conf import settings

from payments.gateways import gateway
from payments.gateways.protocol import PaymentGateway, Talk
from providers.concurrency import Gathered, concurrently
from providers.conversation import Conversation, hold
from providers.together import together

T = TypeVar("T")

PROVIDER = "payments"


class Direct:
    """A local gateway as conversations without network calls."""

    def __init__(self, provider: PaymentGateway) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Callable[..., Conversation[Any]]:
        method = getattr(self._provider, name)

        def conversation(**how: Any) -> Conversation[Any]:
            return method(**how)
            yield

        return conversation


def is_handed_over() -> bool:
    """Whether calls go to the process's loop, so that no batch waits for them."""
    return settings.PROVIDER_HANDOVER and gateway().talk is not None


def talk() -> Talk:
    provider = gateway()
    if is_handed_over():
        assert provider.talk is not None
        return provider.talk
    return cast("Talk", Direct(provider))


def hold_all(
    conversations: Sequence[Conversation[T]], *, patience: float, on_late: Callable[[int, T], None]
) -> Gathered[T]:
    """Run conversations made by `talk` concurrently; return the results that arrive in time."""
    if is_handed_over():
        return together(PROVIDER, conversations, patience=patience, on_late=on_late)
    return concurrently(
        [partial(hold, conversation, _makes_none) for conversation in conversations],
        patience=patience,
        on_late=on_late,
        inline=not gateway().waits,
    )


def _makes_none(_call: object) -> Any:
    raise AssertionError("a direct conversation makes no call")
