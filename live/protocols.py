"""How messages are written on a socket: plain JSON, or SignalR's JSON hub protocol.

SignalR is spoken by hand because clients of the first edition of this API use it. Of its protocol a feed that
only tells needs little: the handshake, calls of the client's methods without an answer, pings and the close.
Written from github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md.
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
    """What differs between the two."""

    ping: str  # sent now and then to a client that counts on it; empty: the WebSocket's own pings are enough

    def frames(self, messages: Sequence[Message]) -> Iterator[str]:
        """Yield the frames that tell the messages."""

    def notice(self, body: dict[str, Any]) -> str:
        """Return the frame for something that is no event; empty if this client could not make use of it."""

    def reply(self, text: str) -> str:
        """Return the frame that answers what the client said, if any. Raises Refused when it says goodbye."""

    def close_frame(self, refusal: Refusal) -> str:
        """Return the last frame before the close, if any."""


class JsonProtocol:
    """One JSON object per frame; with `batch`, one array of them for all that has come together."""

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
        """Answer a ping: a browser cannot send the WebSocket's own, and wants to know if we are there."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        return self.notice({"type": "Pong"}) if isinstance(said, dict) and said.get("type") == "Ping" else ""

    def close_frame(self, refusal: Refusal) -> str:  # noqa: ARG002 - the close frame says it
        return ""


class SignalRProtocol:
    """Records that end in a separator, as many in a frame as there are."""

    ping = json.dumps({"type": PING}) + RECORD_SEPARATOR

    def frames(self, messages: Sequence[Message]) -> Iterator[str]:
        yield "".join(message.invocation for message in messages)

    def notice(self, body: dict[str, Any]) -> str:  # noqa: ARG002
        """Nothing: a client logs a warning for each call of a method that it does not have."""
        return ""

    def reply(self, text: str) -> str:
        return "".join(map(_answer, text.split(RECORD_SEPARATOR)))

    def close_frame(self, refusal: Refusal) -> str:
        body = {"type": CLOSE, "error": refusal.reason, "allowReconnect": refusal.comes_back}
        return encode(body) + RECORD_SEPARATOR


def _answer(record: str) -> str:
    try:
        said = json.loads(record) if record else {}
    except (ValueError, RecursionError):
        raise bad_request("A record is JSON and ends in 0x1E.") from None
    if not isinstance(said, dict):
        raise bad_request("A record is a JSON object.")
    if said.get("type") == CLOSE:
        raise Refused(END)
    if said.get("type") == INVOCATION and isinstance(said.get("invocationId"), str):
        answer = {"type": COMPLETION, "invocationId": said["invocationId"]}
        return encode(answer | {"error": "This hub has no methods."}) + RECORD_SEPARATOR
    return ""


# --- The handshake ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is answered to a handshake, and what its frame held beyond it."""

    answer: str
    agreed: bool
    rest: str


def is_handshake(text: str) -> bool:
    """Return whether a client's first frame begins SignalR's handshake."""
    record, separator, _ = text.partition(RECORD_SEPARATOR)
    return bool(separator) and '"protocol"' in record


def parse_handshake(text: str) -> Handshake:
    """Answer the first frame of a SignalR client."""
    record, _, rest = text.partition(RECORD_SEPARATOR)
    try:
        asked = json.loads(record)
        agreed = (asked["protocol"], asked["version"]) == ("json", 1)
    except (ValueError, TypeError, KeyError, RecursionError):
        agreed = False
    answer = {} if agreed else {"error": "Only version 1 of the JSON protocol is spoken here."}
    return Handshake(encode(answer) + RECORD_SEPARATOR, agreed, rest)
