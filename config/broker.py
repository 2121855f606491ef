"""Mends one thing in kombu's Redis transport: a worker must not go deaf because an acknowledgement failed.

kombu tells the broker first and only then forgets the message itself. When the broker does not answer (it is
frozen, say), the error is logged and the message keeps its place among those that are being worked on. With one
place for each child a worker then never fetches another message, although its connection is sound again.
"""

from typing import Any

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """Forgets a message in any case. One that the broker still has comes again later, and finds nothing to do."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; raises what the broker's client raises, and has room for the next one even then."""
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Refuse a message; raises as `ack` does."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


def mend(channel: Any = redis.Channel) -> None:
    """Have the transport's channels use it."""
    channel.QoS = QoS
