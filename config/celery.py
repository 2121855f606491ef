"""The Celery application. Tasks live in each app's `tasks` module; queues and schedule in the settings."""

import os
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, task_prerun
from django.db import close_old_connections

from config import broker
from telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

broker.mend()
app = Celery("orders")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def drop_broken_connections(**_: object) -> None:
    """Close a database connection that broke or aged since the last task: this one gets a good one."""
    close_old_connections()


@before_task_publish.connect
def send_context_along(headers: dict[str, Any] | None = None, **_: object) -> None:
    """Let the task go on in the trace that sends it."""
    if headers is not None and (context := tracing.current()):
        headers[tracing.HEADER] = context
