"""Which Celery tasks worked on an order, for people: from an order to its tasks and back.

A batch keeps its orders and the runs of its steps. Flower forgets at restart; this does not, for as long as batches
are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from orders.models import Batch, Journey, Order, StepRun

# An order that waited for days was in thousands of batches: those of its first hour and of its last are looked
# through, and the latest of them are told.
HOUR = timedelta(hours=1)
MAX_BATCHES = 5

BATCHES = """
    SELECT id FROM orders_batch
    WHERE (started_at BETWEEN %(placed)s AND %(placed)s + %(hour)s
           OR started_at BETWEEN coalesce(%(ended)s, now()) - %(hour)s AND coalesce(%(ended)s, now()))
      AND order_ids @> ARRAY[%(order)s::bigint]
    ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A task that worked on a batch, from its first look to its end."""

    batch_id: int
    orders: int
    name: str
    task: str  # Celery's id; empty if it did not run on a worker
    worker: str
    seconds: float
    ended_at: datetime

    @property
    def title(self) -> str:
        """What was done, in words."""
        return self.name.replace("_", " ").capitalize()

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return self.seconds * 1000

    @property
    def flower_url(self) -> str:
        """Where Flower shows it; empty where there is none."""
        return f"{settings.FLOWER_URL}/task/{self.task}" if settings.FLOWER_URL and self.task else ""


def runs_of(order: Order) -> list[Run]:
    """Return the tasks that worked on an order, whose journey is loaded, in the order in which they ended."""
    parameters: dict[str, Any] = {
        "order": order.pk,
        "placed": order.placed_at,
        "ended": order.journey.finished_at,
        "hour": HOUR,
        "limit": MAX_BATCHES,
    }
    with connection.cursor() as cursor:
        cursor.execute(BATCHES, parameters)
        ids = [batch_id for (batch_id,) in cursor.fetchall()]
    return _ended(ids)


def runs_in(batch: Batch) -> list[Run]:
    """Return the tasks of a batch that have ended, in that order."""
    return _ended([batch.pk])


def _ended(batch_ids: Sequence[int]) -> list[Run]:
    ended = StepRun.objects.filter(batch_id__in=batch_ids, ended_at__isnull=False).select_related("batch")
    return [
        Run(
            batch_id=run.batch_id,
            orders=run.batch.size,
            name=run.step,
            task=run.task,
            worker=run.worker,
            seconds=(run.ended_at - run.began_at).total_seconds(),
            ended_at=run.ended_at,
        )
        for run in ended.order_by("ended_at")
        if run.ended_at
    ]


def latest_batch(journey: Journey, runs: Sequence[Run]) -> int | None:
    """Return the batch that an order travels with, or has travelled with last, as far as that is known."""
    return journey.batch_id or (runs[-1].batch_id if runs else None)


def flower_url(batch_id: int | None) -> str:
    """Return where Flower lists a batch's tasks, or all of them; empty where there is no Flower.

    Flower's list takes no search in its address but that for a task's name, which may go on with another condition.
    """
    if not settings.FLOWER_URL or batch_id is None:
        return settings.FLOWER_URL and f"{settings.FLOWER_URL}/tasks"
    search = f"""none OR kwargs:"'batch_id': {batch_id}}}" """.strip()
    return f"{settings.FLOWER_URL}/tasks?name={quote(search)}"
