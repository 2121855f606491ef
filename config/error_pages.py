"""A page for each error code, from docs/errors.md: where the `type` of a problem leads."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

LIST = Path(settings.BASE_DIR) / "docs" / "errors.md"
# | status | `code`, `code` | when, or what to do |
ROW = re.compile(r"^\| ([\d, ]+) \| (`.+`) \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the list has of a code."""

    statuses: str
    meaning: SafeString


@cache
def entries() -> dict[str, Entry]:
    return {
        code: Entry(statuses, _in_html(meaning))
        for statuses, codes, meaning in ROW.findall(LIST.read_text())
        for code in re.findall(r"`(\w+)`", codes)
    }


@require_safe
def error_page(request: HttpRequest, code: str) -> HttpResponse:
    """Show what a code means. Raises Http404 for an unknown one."""
    if code not in entries():
        raise Http404(f"No error {code[:40]}.")
    return render(request, "error_code.html", {"code": code, "entry": entries()[code]})


def _in_html(text: str) -> SafeString:
    html = re.sub(r"`(.+?)`", r"<code>\1</code>", str(escape(text)))
    return mark_safe(html)  # noqa: S308 - escaped above # nosec B308, B703
