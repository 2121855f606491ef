"""The Celery application. Tasks live in each app's `tasks` module; queues and schedule in the settings."""

import os

from celery import Celery
from celery.signals import task_prerun
from django.db import close_old_connections

from config import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

broker.mend()
app = Celery("orders")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def drop_broken_connections(**_: object) -> None:
    """Close a database connection that broke or aged since the last task: this one gets a good one."""
    close_old_connections()
