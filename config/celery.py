"""The Celery application."""

import os
from typing import Any

from celery import Celery
from celery.signals import before_task_publish, task_prerun
from django.db import DEFAULT_DB_ALIAS, connections

from config.celery_ext import redis_transport
from telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery runs Django's checks in each process and ignores what they find; `config.prepare` runs them once.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

redis_transport.install()
app = Celery("orders")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.Task.Request = "monitoring.workers:Request"
app.events.dispatcher_cls = "config.celery_ext.event_batching:Dispatcher"
app.autodiscover_tasks()


@task_prerun.connect
def recheck_connection(**_: object) -> None:
    """Have Django check the connection before its next use."""
    connections[DEFAULT_DB_ALIAS].health_check_done = False  # type: ignore[attr-defined] # the stubs leave it out


@before_task_publish.connect
def propagate_trace_context(headers: dict[str, Any] | None = None, **_: object) -> None:
    if headers is None:
        return
    # A recorded message has that of its first sending.
    headers.pop(tracing.HEADER, None)
    if context := tracing.current():
        headers[tracing.HEADER] = context
