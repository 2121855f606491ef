"""The inventory's Celery tasks."""

from celery import shared_task
from django.conf import settings
from kombu import Connection

from inventory.sync import sync_stock as sync
from scheduling.slots import database_now, once_per_slot

NAME = "inventory.sync_stock"

# People who ask again within so many seconds mean the same sync.
AT_ONCE_SECONDS = 1.0

# Somebody waits for the answer: a broker that does not take a message at once is as good as down.
IMPATIENCE = {"socket_timeout": 2, "socket_connect_timeout": 1, "max_retries": 0}


# Longer than other tasks: a warehouse of a million articles is two thousand pages.
@shared_task(name=NAME, soft_time_limit=500, time_limit=540)
def sync_stock(*, at_once: bool = False, **_future: object) -> None:
    """Compare our stock with the warehouse's, once per slot of the schedule; or at once, for people.

    What came of it is kept with the scheduled runs, whoever asked for it.
    """
    now = database_now()
    once_per_slot(
        name=NAME,
        interval=AT_ONCE_SECONDS if at_once else settings.INVENTORY_SYNC_INTERVAL,
        work=lambda: sync(now=now),
        now=now,
    )


def ask_for_sync() -> None:
    """Have a worker run the sync at once. Raises kombu's OperationalError within seconds."""
    with Connection(settings.BROKER_URL, transport_options=IMPATIENCE) as broker:
        sync_stock.apply_async(kwargs={"at_once": True}, producer=broker.Producer(), retry=False)
