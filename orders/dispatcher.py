"""The dispatcher: claims due orders and sends them on their way. Any number may run; PostgreSQL keeps them apart.

It sleeps until PostgreSQL says that something is due, and looks now and then without being told.
"""

import logging
import select
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

import faults
from orders import batches, journal, log_context, resume, wakeup
from orders.maintenance import deadlines
from runtime import heartbeats
from telemetry import measures, tracing

logger = logging.getLogger(__name__)

# How long to leave the broker alone after it could not be reached, and how long the orders wait for it.
BROKER_PAUSE_SECONDS = 1.0


class Dispatcher:
    """Runs until told to stop."""

    def __init__(self) -> None:
        self._stopping = False
        self._doorbell: psycopg.Connection[tuple[object, ...]] | None = None
        self._provider = resume.ProviderWatch()
        self._deadlines = deadlines.DeadlineWatch()

    def stop(self, *_: object) -> None:
        """Finish what is being done and return from `run`; fit to be a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Dispatch until stopped, whatever happens to the database or the broker meanwhile."""
        while not self._stopping:
            try:
                self._listen()
                while not self._stopping:
                    heartbeats.beat("dispatcher")
                    close_old_connections()
                    sent = dispatch_due()
                    self._provider.look()
                    self._deadlines.look()
                    self._rest_after(sent)
            except (OperationalError, InterfaceError, psycopg.Error) as error:
                logger.warning("The database is away: %s", str(error).strip())
                self._hang_up()
                time.sleep(settings.ORDER_PROCESSING_INTERVAL)
        self._hang_up()

    def _listen(self) -> None:
        """Subscribe to the doorbell on a connection of its own."""
        parameters = connection.get_connection_params()
        parameters.pop("cursor_factory", None)
        parameters.pop("context", None)
        self._doorbell = psycopg.connect(**parameters, autocommit=True)
        self._doorbell.execute(f"LISTEN {wakeup.DUE}")

    def _rest_after(self, sent: int) -> None:
        """Go on at once after a full batch; look again soon if something is due that may not leave yet."""
        if sent < settings.BATCH_SIZE:
            is_held_back = not sent and journal.are_due(1)
            self._sleep(batches.FRESH_SECONDS if is_held_back else settings.ORDER_PROCESSING_INTERVAL)

    def _sleep(self, seconds: float) -> None:
        """Wait for the doorbell, at most for so long; rings that came together count as one."""
        assert self._doorbell is not None
        select.select([self._doorbell], [], [], seconds)  # psycopg's own waiting wakes up ten times a second
        for _ in self._doorbell.notifies(timeout=0):
            pass

    def _hang_up(self) -> None:
        connection.close()
        if self._doorbell is not None:
            self._doorbell.close()
            self._doorbell = None


def _about(claimed: batches.Claimed) -> dict[str, object]:
    return log_context.of_batch(claimed.batch_id, claimed.order_ids)


def _span_of(claimed: batches.Claimed) -> AbstractContextManager[None]:
    return tracing.span(
        f"batch {claimed.route}",
        parents=log_context.traces_of(claimed.order_ids),
        batch_id=claimed.batch_id,
        orders=len(claimed.order_ids),
    )


def dispatch_due(send: Callable[[batches.Claimed], None] = batches.send) -> int:
    """Claim what is due and send it on its way. Return how many orders were sent."""
    sent = 0
    for claimed in batches.claim():
        try:
            with structlog.contextvars.bound_contextvars(**_about(claimed)), _span_of(claimed):
                send(claimed)
            faults.point("send.after")
        except (BrokerError, RedisError, OSError) as error:
            logger.warning("The broker is away, %s orders wait: %s", len(claimed.order_ids), error)
            batches.release_claim(claimed, seconds=BROKER_PAUSE_SECONDS)
        else:
            sent += len(claimed.order_ids)
            measures.BATCH_ORDERS.observe(len(claimed.order_ids), claimed.route)
    if sent:
        wakeup.announce_events()
    return sent
