"""The demo's inbox: the e-mails that the sandbox's provider took, and delivers nowhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from board.pages import page

TIMEOUT_SECONDS = 3
SHOWN, SEARCHED_ROWS = 50, 1000
LONGEST_ADDRESS = 320

# A letter stands in a frame of its own, where nothing of it runs, loads or leads anywhere; only its styles count.
LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"


class ProviderUnreachable(Exception):
    """The sandbox's e-mail provider does not answer."""


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail as its provider took it."""

    id: str
    to: str
    subject: str
    text: str
    html: str
    at: datetime


@page
def inbox(request: HttpRequest, viewer: User) -> HttpResponse:  # noqa: ARG001 - in a demo everybody sees all
    """Show the newest e-mails, and one of them whole."""
    _only_in_demo()
    to = request.GET.get("to", "").strip()[:LONGEST_ADDRESS]
    context: dict[str, Any] = {"to": to, "mails": [], "mail": None, "is_away": False}
    try:
        mails = _newest(to=to, limit=SHOWN)
        wanted = request.GET.get("mail", "")
        context |= {"mails": mails, "mail": _by_id(wanted) if wanted else next(iter(mails), None)}
    except ProviderUnreachable:
        context["is_away"] = True
    return render(request, "board/inbox.html", context)


@require_safe
@never_cache
@xframe_options_sameorigin
def letter(request: HttpRequest, mail_id: str) -> HttpResponse:  # noqa: ARG001
    """Answer with an e-mail's HTML, as its receiver would see it."""
    _only_in_demo()
    try:
        mail = _by_id(mail_id)
    except ProviderUnreachable:
        mail = None
    if mail is None:
        raise Http404(mail_id)
    return HttpResponse(mail.html, headers={"Content-Security-Policy": LETTER_POLICY})


def _only_in_demo() -> None:
    if not settings.DEMO:
        raise Http404("Only a demo has an inbox.")


def _by_id(mail_id: str) -> Mail | None:
    return next((mail for mail in _newest(limit=SEARCHED_ROWS) if mail.id == mail_id), None)


def _newest(*, to: str = "", limit: int) -> list[Mail]:
    try:
        answer = requests.get(
            f"{settings.EMAIL_SERVICE_URL}/messages",
            params={"to": to, "limit": str(limit)},
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
        return [_mail(**item) for item in answer.json()["items"]]
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise ProviderUnreachable from error


def _mail(*, createdAt: str, **said: str) -> Mail:  # noqa: N803 - the provider's name for it
    return Mail(at=datetime.fromisoformat(createdAt), **said)
