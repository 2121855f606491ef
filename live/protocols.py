"""Socket protocols: plain JSON, or SignalR's JSON hub protocol for clients of the first API version.

A feed needs handshake, invocations, pings and close of
github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from live.close_codes import END, Refusal, Refused, bad_request
from live.messages import RECORD_SEPARATOR, Message, encode

PING = 6
CLOSE = 7
INVOCATION = 1
COMPLETION = 3


class Wire(Protocol):
    """The interface of both protocols."""

    ping: str  # sent periodically, if any

    def frames(self, messages: Sequence[Message]) -> Iterator[str]:
        """Yield the frames of messages."""

    def notice(self, body: dict[str, Any]) -> str:
        """Return a non-event's frame, if the client can use it."""

    def reply(self, text: str) -> str:
        """Return the answer to a frame, if any. Raises Refused on close."""

    def close_frame(self, refusal: Refusal) -> str:
        """Return the frame before the close, if any."""


class JsonProtocol:
    """One JSON object per frame; with `batch`, one array."""

    ping = ""

    def __init__(self, *, batch: bool = False) -> None:
        self._batch = batch

    def frames(self, messages: Sequence[Message]) -> Iterator[str]:
        if self._batch:
            yield f"[{','.join(message.plain for message in messages)}]"
            return
        for message in messages:
            yield message.plain

    def notice(self, body: dict[str, Any]) -> str:
        return f"[{encode(body)}]" if self._batch else encode(body)

    def reply(self, text: str) -> str:
        """Answer pings: browsers cannot send WebSocket pings."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        return (
            self.notice({"type": "Pong"})
            if isinstance(message, dict) and message.get("type") == "Ping"
            else ""
        )

    def close_frame(self, refusal: Refusal) -> str:  # noqa: ARG002 - the close frame has the reason
        return ""


class SignalRProtocol:
    """Records that end in a separator, several per frame."""

    ping = json.dumps({"type": PING}) + RECORD_SEPARATOR

    def frames(self, messages: Sequence[Message]) -> Iterator[str]:
        yield "".join(message.invocation for message in messages)

    def notice(self, body: dict[str, Any]) -> str:  # noqa: ARG002
        """Nothing: clients warn about unknown methods."""
        return ""

    def reply(self, text: str) -> str:
        return "".join(map(_answer, text.split(RECORD_SEPARATOR)))

    def close_frame(self, refusal: Refusal) -> str:
        body = {"type": CLOSE, "error": refusal.reason, "allowReconnect": refusal.comes_back}
        return encode(body) + RECORD_SEPARATOR


def _answer(record: str) -> str:
    try:
        message = json.loads(record) if record else {}
    except (ValueError, RecursionError):
        raise bad_request("A record is JSON and ends in 0x1E.") from None
    if not isinstance(message, dict):
        raise bad_request("A record is a JSON object.")
    if message.get("type") == CLOSE:
        raise Refused(END)
    if message.get("type") == INVOCATION and isinstance(message.get("invocationId"), str):
        answer = {"type": COMPLETION, "invocationId": message["invocationId"]}
        return encode(answer | {"error": "This hub has no methods."}) + RECORD_SEPARATOR
    return ""


# --- The handshake ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handshake:
    """A handshake's answer, and the frame's rest."""

    answer: str
    agreed: bool
    rest: str


def is_handshake(text: str) -> bool:
    """Whether a client's first frame begins SignalR's handshake."""
    record, separator, _ = text.partition(RECORD_SEPARATOR)
    return bool(separator) and '"protocol"' in record


def parse_handshake(text: str) -> Handshake:
    """Parse a SignalR client's first frame."""
    record, _, rest = text.partition(RECORD_SEPARATOR)
    try:
        request = json.loads(record)
        agreed = (request["protocol"], request["version"]) == ("json", 1)
    except (ValueError, TypeError, KeyError, RecursionError):
        agreed = False
    answer = {} if agreed else {"error": "Only version 1 of the JSON protocol is supported."}
    return Handshake(encode(answer) + RECORD_SEPARATOR, agreed, rest)
