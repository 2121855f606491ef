"""The relay: appends the journal's events to the stream, exactly once and in order.

It resumes from the stream's last message, which covers a killed relay, a truncated stream and a deleted one alike.
"""

import asyncio
import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import Error as DatabaseFailure
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from live.database_threads import ask
from orders import journal
from orders.journal import FeedEvent, Position
from stream.cancellation import honour_cancellation
from stream.definition import last_position, stream_info
from stream.events import is_exported, stream_event
from stream.publishing import MOST, NotStored, publish
from stream.turn import RELAY_THREAD, Turn

logger = logging.getLogger(__name__)

# Polls the journal without a hint, and the lock.
POLL_SECONDS = 1.0
RETRY_SECONDS = 1.0
NOTES, LAST = "relay", "position"


class Relay:
    """Appends events while it holds the lock."""

    def __init__(self, client: Client, hint: asyncio.Event, *, turn: Turn | None = None) -> None:
        self._client, self._js, self._hint = client, client.jetstream(), hint
        self._turn = turn or Turn()
        self.is_active = False

    async def run(self) -> None:
        """Relay until cancelled, across failures of the database and NATS."""
        while True:
            honour_cancellation()
            try:
                await self._take_turn()
                await self._relay()
            except (DatabaseFailure, NatsError, NotStored, OSError) as error:
                logger.warning(
                    "The relay is interrupted, retrying: %s", str(error).strip() or type(error).__name__
                )
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                self.is_active = False
                await ask(self._turn.give_up, RELAY_THREAD)

    async def _take_turn(self) -> None:
        while not await ask(self._turn.take, RELAY_THREAD):
            honour_cancellation()
            await self._wait_for_hint()
        self.is_active = True

    async def _relay(self) -> None:
        position, sequence = await self.standing()
        noted = position
        while True:
            honour_cancellation()
            await ask(self._turn.keep, RELAY_THREAD)
            events = await ask(journal.follow, RELAY_THREAD, position, limit=MOST)
            if events:
                sequence = await self._append(events, behind=sequence)
                position = events[-1].position
                continue
            if noted != position:
                await self._note(position)
                noted = position
            await self._wait_for_hint()

    async def standing(self) -> tuple[Position, int]:
        """Return the journal position and stream sequence to resume behind."""
        info = await stream_info(self._js)
        position = await last_position(self._js, info)
        if position is None:
            position = await self._start(was_filled=info.state.last_seq > 0)
        return position, info.state.last_seq

    async def _start(self, *, was_filled: bool) -> Position:
        """Return the start for an empty stream, whose events may all have expired."""
        if was_filled and (noted := await self._noted()):
            return noted
        if settings.STREAM_FROM == "now":
            return await ask(journal.end, RELAY_THREAD)
        return Position()

    async def _append(self, events: Sequence[FeedEvent], *, behind: int) -> int:
        exported = [stream_event(event) for event in events if is_exported(event)]
        return await publish(self._client, exported, behind=behind) if exported else behind

    async def _wait_for_hint(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._hint.wait()
        except TimeoutError:
            return
        finally:
            self._hint.clear()

    # --- The last position, for a stream whose events have all expired ------------------------------------

    async def _note(self, position: Position) -> None:
        notes = await self._notes()
        await notes.put(LAST, str(position).encode())

    async def _noted(self) -> Position | None:
        notes = await self._notes()
        try:
            entry = await notes.get(LAST)
        except KeyNotFoundError:
            return None
        return Position.parse((entry.value or b"").decode())

    async def _notes(self) -> KeyValue:
        try:
            return await self._js.key_value(NOTES)
        except NotFoundError:
            return await self._js.create_key_value(bucket=NOTES, replicas=settings.STREAM_REPLICAS)
