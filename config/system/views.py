"""How the system is, over HTTP."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.system import health
from config.system.access import may_see_details


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
