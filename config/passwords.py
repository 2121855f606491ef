"""Staff who forgot their password choose another: Django's views, with a mail by the shop's own way of sending.

Only where mails are sent at all: else there is no link to these pages, and they are 404.
"""

import logging
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse_lazy

from api.throttling import Unavailable, buckets
from config.pages import throttled_login
from limits.rates import Rate
from notifications.mail import Mail
from notifications.mailer import send
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from runtime.per_process import per_process

logger = logging.getLogger(__name__)

# Of one account, so that no mailbox is flooded.
MAILS = Rate(3, 3600)
TEMPLATE = "admin/password_reset"


class ResetForm(PasswordResetForm):
    """Sends staff their links."""

    def get_users(self, email: str) -> Iterator[User]:
        """Return active staff with the address and a password: who logs in elsewhere has none."""
        return (user for user in super().get_users(email) if user.is_staff and _may_have_another(user))

    def send_mail(  # noqa: PLR0917
        self,
        subject_template_name: str,  # noqa: ARG002 - Django's signature
        email_template_name: str,  # noqa: ARG002
        context: dict[str, Any],
        from_email: str | None,  # noqa: ARG002
        to_email: str,
        html_email_template_name: str | None = None,  # noqa: ARG002
    ) -> None:
        """Hand the mail over: an answer that takes longer for known addresses would reveal them."""
        text, html = (render_to_string(f"{TEMPLATE}.{form}", context) for form in ("txt", "html"))
        senders().submit(_send, Mail(to_email, "Choose a new password", text, html))


@per_process
def senders() -> ThreadPoolExecutor:
    """Return the thread that sends mails. One that is lost is requested again."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="password-mails")


def _send(mail: Mail) -> None:
    try:
        send(mail, key=f"password:{uuid.uuid4()}")
    except (ProviderRefused, ProviderUnavailable, OutcomeUnknown) as error:
        logger.warning("A mail for a new password was not sent: %s", error)


def _may_have_another(user: User) -> bool:
    try:
        return buckets().take(f"throttle:password:{user.pk}", MAILS) == 0
    except Unavailable:
        return False


class Reset(views.PasswordResetView):
    """Takes the address, and answers the same whether there is such an account."""

    form_class = ResetForm
    success_url = reverse_lazy("password-reset-sent")

    def form_valid(self, form: Any) -> HttpResponse:
        """Send links to the public address: the request's may be an internal one."""
        known = urlsplit(settings.PUBLIC_URL)
        is_secure = known.scheme == "https" if known.scheme else self.request.is_secure()
        form.save(domain_override=known.netloc or None, use_https=is_secure, request=self.request)
        return HttpResponse(status=302, headers={"Location": self.get_success_url()})


class Confirm(views.PasswordResetConfirmView):
    """Takes the new password, by the link of the mail."""

    success_url = reverse_lazy("password-reset-done")


def _page(view: type[Any]) -> Callable[..., HttpResponseBase]:
    inner = throttled_login(view.as_view(extra_context={"site_header": admin.site.site_header}))

    @wraps(inner)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.PASSWORD_RESET:
            raise Http404
        return inner(request, *args, **kwargs)

    return shown


urlpatterns: list[URLPattern] = [
    path("", _page(Reset), name="password-reset"),
    path("sent/", _page(views.PasswordResetDoneView), name="password-reset-sent"),
    path("done/", _page(views.PasswordResetCompleteView), name="password-reset-done"),
    path("<slug:uidb64>/<slug:token>/", _page(Confirm), name="password-reset-confirm"),
]
