"""The Celery application. Tasks live in each app's `tasks` module; queues and schedule in the settings."""

import os
import select
from typing import Any

import psycopg
from celery import Celery
from celery.signals import before_task_publish, task_prerun
from django.db import connections

from config import broker
from telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

broker.mend()
app = Celery("orders")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def drop_broken_connections(**_: object) -> None:
    """Close a database connection that broke since the last task: this one gets a good one.

    A server that ends a connection says so, and says nothing else unasked: whether there is something to read
    costs less to find out than Django's own check, which asks.
    """
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and (connection.errors_occurred or _is_spoken_to(connection)):
            connection.close()


def _is_spoken_to(connection: Any) -> bool:
    try:
        return bool(select.select([connection.connection], [], [], 0)[0])
    except (OSError, ValueError, psycopg.Error):
        return True


@before_task_publish.connect
def send_context_along(headers: dict[str, Any] | None = None, **_: object) -> None:
    """Let the task go on in the trace that sends it."""
    if headers is not None and (context := tracing.current()):
        headers[tracing.HEADER] = context
