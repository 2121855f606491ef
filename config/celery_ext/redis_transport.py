"""Mends kombu's Redis transport: a message costs one round trip, and a worker goes on, whatever becomes of one.

1. kombu copies each message that a worker takes into a hash of the broker, from which it would be delivered again
   after minutes. That is four more commands for each message, and of no use here: an order whose message is lost
   with its worker is due again after its lease, which is seconds. Messages in hand are kept in the worker's memory.
2. Where a message that is given back cannot be sent, for want of a broker, kombu would count it among those in hand
   for ever. With one place for each child the worker would never fetch another.
3. An envelope that is no JSON, or a body that is no base64, ends the worker: kombu lets the error out into its loop.
   Such a message is in nobody's hands any more, so restarting the worker saves nothing either.
"""

import logging
from typing import Any

from kombu.transport import redis, virtual

logger = logging.getLogger(__name__)


class QoS(virtual.QoS):
    """The messages in hand. One that cannot be given back is let go: the database knows what it was about."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Refuse a message; raises what the broker's client raises, and has room for the next one even then."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except Exception:
            self.ack(delivery_tag)
            raise

    def restore_unacked(self) -> Any:
        """Give back all messages. Return those that are to be saved elsewhere: none."""
        lost: Any = super().restore_unacked()
        if lost:
            logger.warning("%s messages could not be given back", len(lost))
        return []


class Channel(redis.Channel):
    """Throws away what cannot be read, and goes on. What it held comes round again: the database knows it."""

    ack_emulation = False  # kombu's, in the broker
    _commander: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.QoS: Any = QoS

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
