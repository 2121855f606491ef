"""How Flower shows our tasks: each with the way back to its orders on the operators' desk.

Flower makes no links of what tasks carry, so the address stands there to be followed. Read by `flower --conf=…`.
"""

import os
import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.flower_guard import Guard

if not os.environ.get("FLOWER_BASIC_AUTH"):  # also of FLOWER_BASIC_AUTH_FILE: the settings have read it
    raise ImproperlyConfigured("FLOWER_BASIC_AUTH=name:password is not set: Flower would obey anybody.")
basic_auth = os.environ["FLOWER_BASIC_AUTH"].split(",")
Guard().install()

BATCH = re.compile(r"\{'batch_id': (?P<id>\d+)\}")

tasks_columns = "name,uuid,state,kwargs,received,runtime,worker"


def format_task(task: Any) -> Any:
    """Say of a step's task where its orders are."""
    if match := BATCH.match(task.kwargs or ""):
        task.kwargs = f"{settings.PUBLIC_URL}/admin/orders/batch/{match['id']}/change/"
    return task
