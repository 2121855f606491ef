"""The stream's name, configuration and last position."""

from datetime import timedelta

from django.conf import settings
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from orders.journal import Position
from stream.events import ROOT

NAME = "ORDERS"
MESSAGE_ID = "Nats-Msg-Id"


def configuration() -> StreamConfig:
    return StreamConfig(
        name=NAME,
        description="The journal of all orders: every event once, in its order, as CloudEvents.",
        subjects=[f"{ROOT}.>"],
        storage=StorageType.FILE,
        num_replicas=settings.STREAM_REPLICAS,
        max_age=timedelta(days=settings.STREAM_DAYS).total_seconds(),
        discard=DiscardPolicy.OLD,
        deny_delete=True,
        deny_purge=True,
        allow_atomic=True,
    )


async def stream_info(js: JetStreamContext) -> StreamInfo:
    """Return the stream's state; create a missing stream."""
    try:
        return await js.stream_info(NAME)
    except NotFoundError:
        return await js.add_stream(configuration())


async def last_position(js: JetStreamContext, info: StreamInfo) -> Position | None:
    """Return the position of the stream's last event; None if empty.

    Reads from the leader: a follower may lag.
    """
    if not info.state.messages:
        return None
    message = await js.get_msg(NAME, seq=info.state.last_seq, direct=False)
    return Position.parse((message.headers or {})[MESSAGE_ID])
