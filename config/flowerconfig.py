"""Configuration of Flower, read by `flower --conf=…`."""

import os
import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.flower_guard import Guard

if not os.environ.get("FLOWER_BASIC_AUTH"):  # the settings set it from FLOWER_BASIC_AUTH_FILE, too
    raise ImproperlyConfigured(
        "FLOWER_BASIC_AUTH=name:password is not set: Flower would accept commands from anyone."
    )
basic_auth = os.environ["FLOWER_BASIC_AUTH"].split(",")
Guard().install()

BATCH = re.compile(r"\{'batch_id': (?P<id>\d+)\}")

# Workers send events by their own setting; Flower would broadcast a command to all of them every five seconds.
enable_events = False

tasks_columns = "name,uuid,state,kwargs,received,runtime,worker"


def format_task(task: Any) -> Any:
    """Show the admin URL of a step's batch: Flower cannot render links."""
    if match := BATCH.match(task.kwargs or ""):
        task.kwargs = f"{settings.PUBLIC_URL}/admin/orders/batch/{match['id']}/change/"
    return task
