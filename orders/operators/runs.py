"""The Celery tasks that worked on an order.

Unlike Flower's history, stored runs survive its restart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from orders.models import Batch, Journey, Order, StepRun

# Orders may wait through thousands of batches: search only their first and last hour.
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
    batch_id: int
    orders: int
    name: str
    task: str  # empty outside a worker
    worker: str
    seconds: float
    ended_at: datetime

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def milliseconds(self) -> float:
        return self.seconds * 1000

    @property
    def flower_url(self) -> str:
        """The task's page in Flower; empty without Flower."""
        return f"{settings.FLOWER_URL}/task/{self.task}" if settings.FLOWER_URL and self.task else ""


def runs_of(order: Order) -> list[Run]:
    """Return an order's task runs by end time. Its journey must be loaded."""
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
    return journey.batch_id or (runs[-1].batch_id if runs else None)


def flower_url(batch_id: int | None) -> str:
    """Return Flower's list of a batch's tasks, or of all; empty without Flower.

    Flower's only filter, the task name, accepts further conditions.
    """
    if not settings.FLOWER_URL or batch_id is None:
        return settings.FLOWER_URL and f"{settings.FLOWER_URL}/tasks"
    search = f"""none OR kwargs:"'batch_id': {batch_id}}}" """.strip()
    return f"{settings.FLOWER_URL}/tasks?name={quote(search)}"
