"""Compares the stream with the journal: every event exactly once, in order, none unknown."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout

from live.database_threads import ask
from orders import journal
from orders.journal import Position
from stream.definition import MESSAGE_ID, NAME, stream_info
from stream.events import is_exported
from stream.turn import RELAY_THREAD

PAGE = 1000
MESSAGE_SECONDS = 5.0


@dataclass
class Difference:
    """The number of events on both sides, and the differing positions by kind."""

    journal: int = 0
    stream: int = 0
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        return not (self.missing or self.unknown or self.twice or self.out_of_order)

    def __str__(self) -> str:
        kinds = ("missing", "unknown", "twice", "out_of_order")
        wrong = [
            f"{len(getattr(self, kind))} {kind.replace('_', ' ')}, such as {getattr(self, kind)[0]}"
            for kind in kinds
            if getattr(self, kind)
        ]
        return f"journal {self.journal} events, stream {self.stream}: " + ("; ".join(wrong) or "equal")


async def compare(client: Client) -> Difference:
    """Compare both from the stream's first event on: older ones may have expired."""
    stored = [position async for position in _stored(client)]
    first = min(stored, default=Position())
    known = [position for position in await ask(_journal, RELAY_THREAD) if position >= first]
    there, real = set(stored), set(known)
    return Difference(
        journal=len(known),
        stream=len(stored),
        missing=[str(position) for position in known if position not in there],
        unknown=[str(position) for position in stored if position not in real],
        twice=[str(position) for position in _repeated(stored)],
        out_of_order=[str(later) for earlier, later in pairwise(stored) if later < earlier],
    )


def _repeated(positions: list[Position]) -> Iterator[Position]:
    seen: set[Position] = set()
    for position in positions:
        if position in seen:
            yield position
        seen.add(position)


async def _stored(client: Client) -> AsyncIterator[Position]:
    js = client.jetstream()
    left = (await stream_info(js)).state.messages
    subscription = await js.subscribe("orders.>", stream=NAME, ordered_consumer=True)
    try:
        while left:
            message = await subscription.next_msg(timeout=MESSAGE_SECONDS)
            left -= 1
            yield Position.parse((message.headers or {})[MESSAGE_ID])
    except NatsTimeout:
        return
    finally:
        await subscription.unsubscribe()


def _journal() -> list[Position]:
    positions: list[Position] = []
    after = Position()
    while events := journal.follow(after, limit=PAGE):
        positions += [event.position for event in events if is_exported(event)]
        after = events[-1].position
    return positions
