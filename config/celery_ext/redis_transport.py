"""kombu's Redis transport, patched: one round trip per message, and no bad message stops a worker.

Defects of kombu 5.7:
1. It copies unacknowledged messages to Redis: four more commands each, for nothing, as leases recover orders.
2. A message that cannot be requeued stays unacknowledged, and its prefetch slot taken, for ever.
3. An envelope that is not JSON, or a body that is not base64, raises through the event loop and ends the worker.
4. It drops the number of subscribers that a fan-out message reached, by which `event_batching` knows if any listen.
5. It wakes a worker's loop each second to refresh queues that expire, even if none of its queues does.
Test: tests/config/test_broker.py (2, 3 and 5), tests/config/test_event_batching.py (4).
Remove: when kombu frees the slot of a failed requeue, drops bad messages, returns that number, and starts that timer
only for a queue that expires. 1 is then its option `ack_emulation`.
"""

import logging
from typing import Any

from kombu.transport import redis, virtual
from kombu.utils import json

logger = logging.getLogger(__name__)

# An idle worker wakes for each BRPOP that ends without a message; kombu's second is a fifth of its idle CPU. With
# health_check_interval, the time after which silence is a lost connection.
BRPOP_SECONDS = 4


class QoS(virtual.QoS):
    """Unacknowledged messages. One that cannot be requeued is dropped."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Reject a message; frees its slot even if the client raises."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except Exception:
            self.ack(delivery_tag)
            raise

    def restore_unacked(self) -> Any:
        """Requeue all messages. Return none to save elsewhere."""
        lost: Any = super().restore_unacked()
        if lost:
            logger.warning("%s messages could not be requeued", len(lost))
        return []


class Channel(redis.Channel):
    """Drops undecodable messages; their orders become due again."""

    ack_emulation = False  # no copies in the broker
    _commander: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.QoS: Any = QoS
        # By fan-out exchange, how many subscribers its last message had.
        self.listeners: dict[str, int] = {}

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        """Return one shared client: creating one takes longer than a command."""
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc] # the stubs leave it out
        if self._commander is None or self._commander.connection_pool is not self.pool:
            self._commander = super()._create_client()  # type: ignore[misc]
        return self._commander

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **options: Any) -> None:
        if options.get("_publish_batch") is not None:
            super()._put_fanout(exchange, message, routing_key, **options)  # type: ignore[misc]
            return
        topics, payload = self._get_publish_topics(exchange, routing_key), json.dumps(message)  # type: ignore[attr-defined]
        with self.conn_or_acquire() as client:
            self.listeners[exchange] = sum(client.publish(topic, payload) for topic in topics)

    def _brpop_read(self, **options: Any) -> Any:
        before = self._unacked_count()
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # the stubs leave it out
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if self._unacked_count() != before:
                raise  # decoded and delivered, so its handler failed
            logger.exception("Dropped an undecodable message: %r", error)
            return True

    def _unacked_count(self) -> int:
        return len(self.qos._delivered or ())


_register_with_event_loop = redis.Transport.register_with_event_loop


def register_with_event_loop(transport: Any, connection: Any, loop: Any) -> None:
    """Register, without the timer that refreshes queues that expire each second: a worker consumes none."""
    _register_with_event_loop(transport, connection, loop)
    transport.cycle._binding_expiry_tref.cancel()


def install(transport: Any = redis.Transport) -> None:
    transport.Channel = Channel
    transport.register_with_event_loop = register_with_event_loop
    transport.brpop_timeout = BRPOP_SECONDS
