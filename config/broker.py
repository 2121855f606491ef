"""Mends two things in kombu's Redis transport: a worker must not go deaf, and not die of what it is told.

1. kombu tells the broker first that a message is done and only then forgets it itself. When the broker does not
   answer (it is frozen, say), the error is logged and the message keeps its place among those that are being worked
   on. With one place for each child a worker then never fetches another message, although its connection is sound
   again.
2. An envelope that is no JSON, or a body that is no base64, ends the worker: kombu lets the error out into its loop.
   Such a message is in nobody's hands any more, so restarting the worker saves nothing either.
"""

import logging
from typing import Any

from kombu.transport import redis, virtual

logger = logging.getLogger(__name__)


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


class Channel(redis.Channel):
    """Throws away what cannot be read, and goes on. What it held comes round again: the database knows it."""

    QoS = QoS
    _commander: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        """Return one client for all commands: kombu makes one for each, which takes longer than the command."""
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc] # the stubs leave it out
        if self._commander is None or self._commander.connection_pool is not self.pool:
            self._commander = super()._create_client()  # type: ignore[misc]
        return self._commander

    def _brpop_read(self, **options: Any) -> Any:
        before = self._in_hand()
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # the stubs leave it out
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            if self._in_hand() != before:
                raise  # it could be read, so whoever was given it has failed
            logger.exception("A message that cannot be read was thrown away: %r", error)
            return True

    def _in_hand(self) -> int:
        return len(self.qos._delivered or ())


def mend(transport: Any = redis.Transport) -> None:
    """Have the transport use it."""
    transport.Channel = Channel
