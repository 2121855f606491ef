"""How the system is, over HTTP."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.problems import Problem
from monitoring import health, metrics, nodes, prometheus, status
from monitoring.access import IsStaffOrDemo, may_see_details
from runtime.nodes import NotKnown


@require_safe
@never_cache
def health_live(_: HttpRequest) -> JsonResponse:
    """Say that this process answers. Asks nobody."""
    return JsonResponse({"status": health.State.HEALTHY})


@require_safe
@never_cache
def health_ready(request: HttpRequest) -> JsonResponse:
    """Say whether this process can store an order; 503 if not."""
    return _answer(request, health.readiness())


@require_safe
@never_cache
def health_all(request: HttpRequest) -> JsonResponse:
    """Say how every part is; 503 if orders cannot be stored or cannot move."""
    return _answer(request, health.report())


def _answer(request: HttpRequest, report: health.Report) -> JsonResponse:
    with_details = may_see_details(request)
    body = {
        "status": report.state,
        "parts": {part.name: _part(part, with_details=with_details) for part in report.parts},
    }
    return JsonResponse(body, status=200 if report.is_able else 503)


def _part(part: health.Part, *, with_details: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": part.state, "latencyMs": part.milliseconds}
    if with_details:
        shown |= {"detail": part.finding.summary, **part.finding.facts}
    return shown


@require_safe
@never_cache
def metrics_for_prometheus(request: HttpRequest) -> HttpResponse:
    """Tell Prometheus how the whole system is doing; 403 to strangers."""
    if not may_see_details(request):
        return HttpResponse("Send METRICS_TOKEN as bearer token, or ask from this machine.\n", status=403)
    return HttpResponse(prometheus.exposition(), content_type=CONTENT_TYPE_LATEST)


class SystemStatus(APIView):
    """What the system is doing now: orders by state, queues, workers, schedule, providers."""

    read_cost = 5
    permission_classes = (IsStaffOrDemo,)

    @extend_schema(tags=["system"], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Return the whole picture, at most two seconds old. What is not known is null, with its reason."""
        return Response(status.status())


class SystemNodes(APIView):
    """The machines of a cluster: which are there, what they do, which is missing."""

    permission_classes = (IsStaffOrDemo,)

    @extend_schema(tags=["system"], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Return the nodes as they announce themselves. 503 while nothing is heard of them."""
        try:
            return Response(nodes.machines())
        except NotKnown:
            message = "Nothing is heard of the nodes just now. Try again."
            raise Problem("temporarily_unavailable", message, status_code=503, retry_after=2) from None


class SystemMetrics(APIView):
    """Figures over time: throughput, durations, batches, and what the engines use."""

    read_cost = 5
    permission_classes = (IsStaffOrDemo,)

    @extend_schema(tags=["system"], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Return the figures of the last minutes, at most two seconds old."""
        return Response(metrics.metrics())
