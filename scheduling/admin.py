"""The admin page of scheduled runs, whose composite key rules out a ModelAdmin."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from scheduling.models import ScheduledRun
from scheduling.slots import latest_runs

SHOWN = 200


def runs_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show the latest run per name, and the latest runs."""
    name = request.GET.get("name", "")
    runs = ScheduledRun.objects.order_by("-started_at")
    # Beat's frequent ticks would crowd out everything else.
    chosen = runs.filter(name=name) if name else runs.exclude(name="beat")
    return TemplateResponse(
        request,
        "admin/scheduling/runs.html",
        context | {"latest": latest_runs(), "runs": chosen[:SHOWN], "name": name},
    )
