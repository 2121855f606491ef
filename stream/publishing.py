"""Atomic batch publish with optimistic concurrency: all events or none, behind the expected last one."""

import json
from collections.abc import Sequence
from uuid import uuid4

from nats.aio.client import Client

from stream.definition import MESSAGE_ID
from stream.events import StreamEvent

# The server's limit is 1,000.
MOST = 500
COMMIT_SECONDS = 5.0


class NotStored(Exception):
    """The batch was refused: another writer appended, or the stream was replaced."""


async def publish(client: Client, events: Sequence[StreamEvent], *, behind: int) -> int:
    """Append events behind sequence number `behind`; return the last one's number.

    Raises NotStored. After nats.errors.TimeoutError the outcome is unknown: read the stream's last position.
    """
    batch = uuid4().hex
    for number, event in enumerate(events, start=1):
        headers = {MESSAGE_ID: event.id, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
        if number == 1:
            # The fence: a stale writer, such as a thawed one, stores nothing.
            headers["Nats-Expected-Last-Sequence"] = str(behind)
        if number < len(events):
            await client.publish(event.subject, event.payload, headers=headers)
    headers["Nats-Batch-Commit"] = "1"
    reply = await client.request(event.subject, event.payload, timeout=COMMIT_SECONDS, headers=headers)
    return _sequence(reply.data)


def _sequence(acknowledgement: bytes) -> int:
    answer = json.loads(acknowledgement)
    if "error" in answer:
        raise NotStored(f"{answer['error'].get('err_code')} {answer['error'].get('description')}")
    return int(answer["seq"])
