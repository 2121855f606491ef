"""Health, status and metrics over HTTP."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
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
    """Answer 200: liveness of this process, without any dependency."""
    return JsonResponse({"status": health.State.HEALTHY})


@require_safe
@never_cache
def health_ready(request: HttpRequest) -> JsonResponse:
    """Answer whether this process can store an order; 503 if not."""
    return _answer(request, health.readiness())


@require_safe
@never_cache
def health_all(request: HttpRequest) -> HttpResponse:
    """Answer the health of every part, to browsers as a page; 503 if orders cannot be stored or processed."""
    report = health.report()
    is_browser = "text/html" in request.headers.get("Accept", "")
    response = _page(request, report) if is_browser else _answer(request, report)
    response["Vary"] = "Accept"
    return response


def _page(request: HttpRequest, report: health.Report) -> HttpResponse:
    context = {
        "state": str(report.state),
        "parts": [{"name": part.name, "state": str(part.state), "of": part} for part in report.parts],
        "with_details": may_see_details(request),
        "now": datetime.now(UTC),
    }
    return HttpResponse(render_to_string("health.html", context), status=_status(report))


def _answer(request: HttpRequest, report: health.Report) -> JsonResponse:
    with_details = may_see_details(request)
    body = {
        "status": report.state,
        "parts": {part.name: _part(part, with_details=with_details) for part in report.parts},
    }
    return JsonResponse(body, status=_status(report))


def _status(report: health.Report) -> int:
    return HTTPStatus.OK if report.is_able else HTTPStatus.SERVICE_UNAVAILABLE


def _part(part: health.Part, *, with_details: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": part.state, "latencyMs": part.milliseconds}
    if with_details:
        shown |= {"detail": part.finding.summary, **part.finding.facts}
    return shown


@require_safe
@never_cache
def metrics_for_prometheus(request: HttpRequest) -> HttpResponse:
    """Answer the metrics of the whole system; 403 without access."""
    if not may_see_details(request):
        return HttpResponse("Send METRICS_TOKEN as a bearer token, or call from this machine.\n", status=403)
    return HttpResponse(prometheus.exposition(), content_type=CONTENT_TYPE_LATEST)


class SystemStatus(APIView):
    """The system's current state: orders, queues, workers, schedule, providers."""

    read_cost = 5
    permission_classes = (IsStaffOrDemo,)

    @extend_schema(
        tags=["system"],
        operation_id="get_system_status",
        summary="Get the state of orders, queues, workers, schedule and providers (staff)",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Return the whole state, at most two seconds old. Unknown parts are null, with the reason."""
        return Response(status.status())


class SystemNodes(APIView):
    """The nodes of a cluster: present ones with their roles, and missing ones."""

    permission_classes = (IsStaffOrDemo,)

    @extend_schema(
        tags=["system"],
        operation_id="get_system_nodes",
        summary="Get the nodes of the cluster with their roles (staff)",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Return the nodes as they announce themselves; 503 while none is heard."""
        try:
            return Response(nodes.machines())
        except NotKnown:
            message = "The state of the nodes is unknown at the moment. Try again."
            raise Problem("temporarily_unavailable", message, status_code=503, retry_after=2) from None


class SystemMetrics(APIView):
    """Recent metrics: throughput, durations, batches, engine usage."""

    read_cost = 5
    permission_classes = (IsStaffOrDemo,)

    @extend_schema(
        tags=["system"],
        operation_id="get_system_metrics",
        summary="Get recent throughput, durations and load (staff)",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        """Return the metrics of the last minutes, at most two seconds old."""
        return Response(metrics.metrics())
