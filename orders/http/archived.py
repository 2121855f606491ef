"""Requests about the money of archived orders are run again on the restored order."""

from collections.abc import Callable

from rest_framework.request import Request
from rest_framework.response import Response

from orders.maintenance.restore import restored
from orders.permissions import may_operate
from orders.queries import OrderArchived


def also_archived(request: Request, run: Callable[[], Response]) -> Response:
    """Return `run()`; restore the order for it if that is archived and the user may refund. Raises OrderArchived."""
    try:
        return run()
    except OrderArchived as archived:
        if archived.order_id is None or not may_operate(request.user, "refund"):
            raise
        with restored(archived.order_id):
            return run()
