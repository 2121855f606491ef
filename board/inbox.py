"""The demo's inbox: e-mails accepted by the sandbox, which delivers none."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from board.pages import page
from providers.deadline import fetch

TIMEOUT_SECONDS = 3
SHOWN, SEARCHED_ROWS = 50, 1000
LONGEST_ADDRESS = 320

# Sandboxed frame: no scripts, loads or links, only styles.
LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"


class ProviderUnreachable(Exception):
    """The sandbox's e-mail provider does not respond."""


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail as stored by the provider."""

    id: str
    to: str
    subject: str
    text: str
    html: str
    at: datetime


@page
def inbox(request: HttpRequest, viewer: User) -> HttpResponse:  # noqa: ARG001 - every viewer of a demo sees all mails
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
    """Return an e-mail's HTML as its recipient would see it."""
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
        raise Http404("The inbox exists only in a demo.")


def _by_id(mail_id: str) -> Mail | None:
    return next((mail for mail in _newest(limit=SEARCHED_ROWS) if mail.id == mail_id), None)


def _newest(*, to: str = "", limit: int) -> list[Mail]:
    try:
        answer = fetch(
            "GET",
            f"{settings.EMAIL_SERVICE_URL}/messages",
            params={"to": to, "limit": str(limit)},
            seconds=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
        return [_mail(**item) for item in answer.json()["items"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProviderUnreachable from error


def _mail(*, createdAt: str, **fields: str) -> Mail:  # noqa: N803 - the provider's name for it
    return Mail(at=datetime.fromisoformat(createdAt), **fields)
