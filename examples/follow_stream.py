"""Follow the event stream from a position: python examples/follow_stream.py --after 41

Reads NATS_URL (comma-separated), NATS_USER and NATS_PASSWORD. Prints `number id type order` per event.
"""

import argparse
import asyncio
import json
import os
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def follow(*, after: int, subject: str, count: int) -> None:
    """Print events behind stream sequence `after`; stop after `count`, 0: never."""
    client = await nats.connect(
        os.environ.get("NATS_URL", "nats://127.0.0.1:4222").split(","),
        user=os.environ.get("NATS_USER"),
        password=os.environ.get("NATS_PASSWORD"),
        max_reconnect_attempts=-1,
    )
    # The client recreates an ordered consumer behind the last event it saw when a connection or server is lost.
    subscription = await client.jetstream().subscribe(
        subject,
        stream="ORDERS",
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1),
    )
    async for message in subscription.messages:
        event = json.loads(message.data)
        print(
            message.metadata.sequence.stream,
            event["id"],
            event["type"],
            event["data"]["orderNumber"],
            flush=True,
        )
        count -= 1
        if count == 0:
            break
    await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--after", type=int, default=0, help="the sequence number of your last event")
    parser.add_argument("--subject", default="orders.>", help="a subject filter, such as orders.7.>")
    parser.add_argument("--count", type=int, default=0, help="stop after this many events; 0: never")
    arguments = parser.parse_args()
    try:
        asyncio.run(follow(after=arguments.after, subject=arguments.subject, count=arguments.count))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
