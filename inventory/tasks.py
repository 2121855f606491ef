"""Celery tasks of the inventory."""

from celery import shared_task
from django.conf import settings
from kombu import Connection

from inventory.sync import sync_stock as sync
from scheduling.slots import database_now, once_per_slot

NAME = "inventory.sync_stock"

# Manual requests within this time share a sync.
AT_ONCE_SECONDS = 1.0

# A client waits: a slow broker counts as down.
FAIL_FAST = {"socket_timeout": 2, "socket_connect_timeout": 1, "max_retries": 0}


# A million articles are two thousand pages.
@shared_task(name=NAME, soft_time_limit=500, time_limit=540)
def sync_stock(*, at_once: bool = False, **_future: object) -> None:
    """Sync stock, once per slot; `at_once` for manual runs."""
    now = database_now()
    once_per_slot(
        name=NAME,
        interval=AT_ONCE_SECONDS if at_once else settings.INVENTORY_SYNC_INTERVAL,
        work=lambda: sync(now=now),
        now=now,
    )


def ask_for_sync() -> None:
    """Queue a sync. Raises OperationalError within seconds."""
    with Connection(settings.BROKER_URL, transport_options=FAIL_FAST) as broker:
        sync_stock.apply_async(kwargs={"at_once": True}, producer=broker.Producer(), retry=False)
