"""The NATS connection: reconnects forever, and detects a dead server quickly."""

import logging

import nats
from django.conf import settings
from nats.aio.client import Client

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 2
PING_SECONDS = 2


async def connect(*, name: str) -> Client:
    """Return a connection to a server that answers. Raises nats.errors.Error or OSError when none does.

    Login and addresses are separate: discovered servers' addresses carry no login.
    """
    return await nats.connect(
        settings.NATS_URL,
        name=name,
        user=settings.NATS_USER or None,
        password=settings.NATS_PASSWORD or None,
        connect_timeout=CONNECT_SECONDS,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        ping_interval=PING_SECONDS,
        max_outstanding_pings=2,
        allow_reconnect=True,
        error_cb=_note,
    )


async def _note(error: Exception) -> None:
    logger.info("NATS: %r", error)
