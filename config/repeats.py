"""Views of apps below orders whose POSTs may be repeated under a key: it is orders that keeps the keys."""

from functools import wraps

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.idempotency import answer_once
from api.schema import IDEMPOTENCY_KEY
from inventory.views import AdjustView


class AdjustStock(AdjustView):
    """Corrects stock, once for each key: units that are added twice are units that nobody has."""

    @extend_schema(parameters=[IDEMPOTENCY_KEY])
    @wraps(AdjustView.post)  # which brings its description
    def post(self, request: Request, reference: str) -> Response:  # type: ignore[override]
        """Add units to a product's stock or take some, or answer as the first time."""
        return answer_once(request, lambda: AdjustView.post(self, request, reference))
