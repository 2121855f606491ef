"""Socket consumers: authenticate, negotiate, forward a feed, close with a reason."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import TypeVar
from urllib.parse import parse_qs

import structlog
from asgiref.typing import WebSocketSendEvent
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseFailure

from live import tickets
from live.access import Viewer, bearer_of, shown_by, viewer_of
from live.asgi import Receive, Scope, Send, headers_of
from live.close_codes import (
    END,
    FAILED,
    FLOOD,
    NO_SUCH_PATH,
    NOT_LOGGED_IN,
    TOO_BIG,
    TRY_AGAIN,
    Refusal,
    Refused,
    bad_request,
)
from live.database_threads import SOCKET_THREADS, ask
from live.feeds import Notice, Said, journal_feed, order_feed
from live.origins import ORIGIN_VERIFIED
from live.protocols import JsonProtocol, SignalRProtocol, Wire, is_handshake, parse_handshake
from live.sockets import REGISTER
from orders import journal
from orders.journal import Position

T = TypeVar("T")

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 4096  # characters
BURST = 20  # messages at once
MESSAGES_PER_SECOND = 2.0  # refill rate
CLOSE_SECONDS = 10.0  # limit for a client that does not read
HANDSHAKE_SECONDS = 15.0  # as in SignalR's servers
SIGNALR_PING_SECONDS = 10.0  # clients time out after 30 seconds of silence
# Silent clients of /orderHub get plain JSON.
FIRST_WORD_SECONDS = 1.0


class Allowance:
    """A token bucket for a client's messages."""

    def __init__(self) -> None:
        self._left, self._at = float(BURST), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * MESSAGES_PER_SECOND) - 1
        self._at = now
        return self._left >= 0


class LiveConsumer(AsyncWebsocketConsumer):
    """Base of the sockets: subclasses choose feed and protocol."""

    # The hub holds the process's only channel.
    channel_layer_alias = "none"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self._query = {name: values[-1] for name, values in query.items()}
        self._allowance = Allowance()
        self._wire: Wire | None = None
        self._early_messages: asyncio.Queue[str] = asyncio.Queue(maxsize=BURST)
        self._refusal: Refusal | None = None
        self._gone = False
        self._application = asyncio.current_task()
        structlog.contextvars.bind_contextvars(socket=secrets.token_hex(6))
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            # The server stops, or `_close` cancelled a stuck send.
            if self._refusal is None:
                raise

    async def connect(self) -> None:
        """Accept first: browsers only see close codes of accepted sockets."""
        await self.accept()
        self._sender = asyncio.create_task(self._send_feed())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:  # noqa: ARG002
        if not self._allowance.take():
            self.stop(FLOOD)
        elif text_data is None or len(text_data) > LARGEST_MESSAGE:
            self.stop(TOO_BIG)
        elif self._wire is None:
            self._early_messages.put_nowait(text_data)
        else:
            await self._answer(text_data, self._wire)

    async def disconnect(self, code: int) -> None:  # noqa: ARG002
        self._gone = True
        self.stop(END)
        with suppress(asyncio.CancelledError):
            await self._sender

    def stop(self, refusal: Refusal) -> None:
        """Close the socket, even amid a message."""
        self._refusal = self._refusal or refusal
        self._sender.cancel()

    def feed(self, viewer: Viewer) -> AsyncGenerator[Said, None]:
        raise NotImplementedError

    # --- Sending -------------------------------------------------------------------------------------------

    async def _send_feed(self) -> None:
        try:
            refusal = await self._send_until_refused()
        except OSError:
            return  # the client left amid a message
        await self._close(refusal)

    async def _send_until_refused(self) -> Refusal:
        try:
            viewer = await self._authenticate()
            REGISTER.enter(self, viewer)
            await self._send_all(viewer, await self._agree())
        except Refused as refused:
            return refused.refusal
        except (DatabaseFailure, tickets.NoTickets):
            return TRY_AGAIN
        except asyncio.CancelledError:
            if self._gone or self._refusal is None:
                raise
            return self._refusal
        except OSError:
            raise
        except Exception:
            logger.exception("A live socket failed.")
            return FAILED
        finally:
            REGISTER.leave(self)
        return END

    async def _authenticate(self) -> Viewer:
        viewer = await ask(self._identify, SOCKET_THREADS)
        if viewer is None:
            raise Refused(NOT_LOGGED_IN)
        return viewer

    def _identify(self) -> Viewer | None:
        headers = headers_of(self.scope)
        ticket = self._query.get("ticket", self._query.get("access_token"))
        if ticket is None:
            ticket = bearer_of(headers)
        if ticket is not None and (credential := tickets.credential_of(ticket)):
            return viewer_of(credential)
        if "ticket" in self._query:
            return None
        if "access_token" in self._query:  # how browsers' SignalR clients send their token
            headers["authorization"] = f"Bearer {self._query['access_token']}"
        credential = shown_by(headers, trust_cookies=bool(self.scope.get(ORIGIN_VERIFIED)))
        return viewer_of(credential) if credential else None

    async def _agree(self) -> Wire:
        return JsonProtocol(batch=self._query.get("batch") == "1")

    async def _send_all(self, viewer: Viewer, wire: Wire) -> None:
        self._wire = wire
        while not self._early_messages.empty():
            await self._answer(self._early_messages.get_nowait(), wire)
        pings = asyncio.create_task(self._ping(wire))
        try:
            async with aclosing(self.feed(viewer)) as feed:
                async for item in feed:
                    await self._forward(item, wire)
        finally:
            pings.cancel()

    async def _forward(self, item: Said, wire: Wire) -> None:
        if isinstance(item, Notice):
            await self._write(wire.notice(item.body))
        elif item:
            for frame in wire.frames(item):
                await self._write(frame)

    async def _answer(self, text: str, wire: Wire) -> None:
        try:
            await self._write(wire.reply(text))
        except Refused as refused:
            self.stop(refused.refusal)
        except OSError:
            self.stop(END)  # the client left before the answer

    async def _ping(self, wire: Wire) -> None:
        with suppress(OSError):
            while wire.ping:
                await asyncio.sleep(SIGNALR_PING_SECONDS)
                await self._write(wire.ping)

    async def _write(self, frame: str) -> None:
        """Raises OSError instead of the server's own error."""
        if not frame:
            return
        try:
            await self.base_send(WebSocketSendEvent(type="websocket.send", text=frame, bytes=None))
        except RuntimeError as error:
            raise ConnectionResetError(str(error)) from error

    async def _close(self, refusal: Refusal) -> None:
        self._refusal = self._refusal or refusal
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._write(self._wire.close_frame(refusal) if self._wire else "")
                await self.close(code=refusal.code, reason=refusal.reason)
        except TimeoutError:
            if self._application:
                self._application.cancel()
        except (OSError, RuntimeError):
            pass  # it closed first

    def _after(self, parse: Callable[[str], T]) -> T | None:
        if "after" not in self._query:
            return None
        try:
            return parse(self._query["after"])
        except ValueError:
            raise bad_request("after= is not a position in the journal.") from None


class OrderConsumer(LiveConsumer):
    """/ws/orders/<id, UUID or number>[?after=<sequence>]: one order."""

    def feed(self, viewer: Viewer) -> AsyncGenerator[Said, None]:
        reference = self.scope["url_route"]["kwargs"]["reference"]
        return order_feed(
            viewer=viewer, reference=reference, after=self._after(parse_sequence), close=self.stop
        )


class FeedConsumer(LiveConsumer):
    """/ws/orders[?after=<position>]: the viewer's own orders, all, or the one of the ticket."""

    def feed(self, viewer: Viewer) -> AsyncGenerator[Said, None]:
        return journal_feed(viewer=viewer, after=self._after(parse_position), close=self.stop)


class HubConsumer(FeedConsumer):
    """/orderHub: SignalR, for clients that send its handshake or `id`."""

    async def _agree(self) -> Wire:
        negotiated = "id" in self._query
        joined = str(await ask(journal.end, SOCKET_THREADS))
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS if negotiated else FIRST_WORD_SECONDS):
                text = await self._early_messages.get()
        except TimeoutError:
            if negotiated:
                raise bad_request("There was no handshake.") from None
            return await self._use_json(joined)
        if not negotiated and not is_handshake(text):
            self._early_messages.put_nowait(text)
            return await self._use_json(joined)
        return await self._parse_handshake(text)

    async def _use_json(self, joined: str) -> Wire:
        """Start the feed at the join, before the wait for a first message."""
        wire = await super()._agree()
        if "after" not in self._query:
            self._query["after"] = joined
            await self._forward(Notice({"type": "Ready", "position": joined}), wire)
        return wire

    async def _parse_handshake(self, text: str) -> Wire:
        # The handshake's answer is the feed's start for clients, so fix the position first.
        self._query.setdefault("after", str(await ask(journal.end, SOCKET_THREADS)))
        handshake = parse_handshake(text)
        await self._write(handshake.answer)
        if not handshake.agreed:
            raise bad_request("Only version 1 of SignalR's JSON protocol is supported.")
        if handshake.rest:
            self._early_messages.put_nowait(handshake.rest)
        return SignalRProtocol()


class NowhereConsumer(LiveConsumer):
    """Any other path: without this the server logs an error."""

    async def _authenticate(self) -> Viewer:
        raise Refused(NO_SUCH_PATH)


def parse_sequence(text: str) -> int:
    """Return the sequence. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(text)
    return int(text)


def parse_position(text: str) -> Position:
    """Return the position; 0 is the beginning. Raises ValueError."""
    return Position() if text == "0" else Position.parse(text)
