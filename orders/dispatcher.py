"""The dispatcher claims due orders and sends them to the workers. Any number may run: row locks keep them apart."""

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
from orders import batches, wakeup
from orders.maintenance import deadlines, expiry
from orders.models import Journey
from orders.placing import origin
from orders.waits import resume, shortages
from runtime import draining, heartbeats
from telemetry import measures, tracing

logger = logging.getLogger(__name__)

# Orders wait for this while the broker is down.
BROKER_PAUSE_SECONDS = 1.0


class Dispatcher:
    def __init__(self) -> None:
        self._stopping = False
        self._listener: psycopg.Connection[tuple[object, ...]] | None = None
        self._provider = resume.ProviderWatch()
        self._deadlines = deadlines.DeadlineWatch()
        self._authorizations = expiry.ExpiryWatch()
        self._stock = shortages.StockWatch()
        self._may_be_due = True

    def stop(self, *_: object) -> None:
        self._stopping = True

    def run(self) -> None:
        """Dispatch, through outages of database and broker, until stopped."""
        while not self._stopping:
            try:
                self._listen()
                while not self._stopping:
                    heartbeats.beat("dispatcher")
                    close_old_connections()
                    if draining.is_draining():
                        self._sleep(settings.ORDER_PROCESSING_INTERVAL)
                        continue
                    sent = self._dispatch()
                    self._provider.look()
                    self._deadlines.look()
                    self._authorizations.look()
                    self._stock.look()
                    self._pause_after(sent)
            except (OperationalError, InterfaceError, psycopg.Error) as error:
                logger.warning("The database is unreachable: %s", str(error).strip())
                self._disconnect()
                time.sleep(settings.ORDER_PROCESSING_INTERVAL)
        self._disconnect()

    def _listen(self) -> None:
        parameters = connection.get_connection_params()
        parameters.pop("cursor_factory", None)
        parameters.pop("context", None)
        self._listener = psycopg.connect(**parameters, autocommit=True)
        self._listener.execute(f"LISTEN {wakeup.DUE}")

    def _dispatch(self) -> int:
        """Dispatch after a wake-up, or if orders are due: an idle dispatcher needs one statement, not five."""
        self._may_be_due = self._may_be_due or Journey.objects.are_due(1)
        return dispatch_due() if self._may_be_due else 0

    def _pause_after(self, sent: int) -> None:
        """Pause, unless the batch was full; briefly if due orders are held back for a fuller one."""
        if sent < settings.BATCH_SIZE:
            is_held_back = self._may_be_due and not sent and Journey.objects.are_due(1)
            self._sleep(batches.FRESH_SECONDS if is_held_back else settings.ORDER_PROCESSING_INTERVAL)

    def _sleep(self, seconds: float) -> None:
        """Wait for notifications, which may be lost: up to `seconds`."""
        assert self._listener is not None
        # psycopg's own wait polls ten times a second
        ready, _, _ = select.select([self._listener], [], [], seconds)
        self._may_be_due = bool(ready)
        for _ in self._listener.notifies(timeout=0):
            pass

    def _disconnect(self) -> None:
        connection.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _span_of(claimed: batches.Claimed) -> AbstractContextManager[None]:
    return tracing.span(
        f"batch {claimed.route}",
        parents=origin.traces_of(claimed.order_ids),
        batch_id=claimed.batch_id,
        orders=len(claimed.order_ids),
    )


def dispatch_due(send: Callable[[batches.Claimed], None] = batches.send) -> int:
    """Claim and send due orders. Return how many."""
    sent = 0
    for claimed in batches.claim():
        try:
            about = batches.log_context(claimed.batch_id, claimed.order_ids)
            with structlog.contextvars.bound_contextvars(**about), _span_of(claimed):
                send(claimed)
            faults.point("send.after")
        except (BrokerError, RedisError, OSError) as error:
            logger.warning("The broker is unreachable, %s orders wait: %s", len(claimed.order_ids), error)
            batches.release_claim(claimed, seconds=BROKER_PAUSE_SECONDS)
        else:
            sent += len(claimed.order_ids)
            measures.BATCH_ORDERS.observe(len(claimed.order_ids), claimed.route)
    if sent:
        wakeup.announce_events()
    return sent
