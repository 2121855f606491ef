"""The runbook of an alert, from docs/operations.md: where an alert's link leads."""

import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

MANUAL = Path(settings.BASE_DIR) / "docs" / "operations.md"
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def runbook_page(request: HttpRequest, context: dict[str, Any], *, alert: str) -> HttpResponse:
    """Show what an alert means and what to do. Raises Http404 for an unknown one."""
    found = sections()
    if alert and alert not in found:
        raise Http404(f"No runbook for {alert[:40]}.")
    chosen = {alert: found[alert]} if alert else found
    return TemplateResponse(
        request,
        "admin/desk/runbook.html",
        context
        | {
            "title": alert or "Runbook",
            "alert": alert,
            "sections": {n: in_html(t) for n, t in chosen.items()},
        },
    )


def sections() -> dict[str, str]:
    return dict(SECTION.findall(MANUAL.read_text().partition("\n## Alerts\n")[2]))


def in_html(text: str) -> SafeString:
    """Return the manual's few kinds of markup as HTML: paragraphs, bold, emphasis, code, links as text."""
    html = str(escape(text.strip())).replace("\n**Do**", "\n\n**Do**")
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html)
    html = re.sub(r"\*(.+?)\*", r"<em>\1</em>", html)
    html = re.sub(r"`(.+?)`", r"<code>\1</code>", html)
    html = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", html)
    paragraphs = [f"<p>{part}</p>" for part in re.split(r"\n\s*\n", html)]
    return mark_safe("".join(paragraphs))  # noqa: S308 - escaped above # nosec B308, B703
