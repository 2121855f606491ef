"""Scheduled runs on the operators' desk, to look at. Their key has two columns: no list of Django's."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from scheduling.models import ScheduledRun
from scheduling.slots import latest_runs

SHOWN = 200


def runs_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show what came of scheduled work: the latest of each, and the latest of one or all."""
    name = request.GET.get("name", "")
    runs = ScheduledRun.objects.order_by("-started_at")
    # Beat's tick says nothing but that beat is alive, and would push everything else off the page.
    chosen = runs.filter(name=name) if name else runs.exclude(name="beat")
    return TemplateResponse(
        request,
        "admin/scheduling/runs.html",
        context | {"latest": latest_runs(), "runs": chosen[:SHOWN], "name": name},
    )
