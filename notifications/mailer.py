"""Hands a mail to its carrier: the e-mail provider's HTTP API, or a back end of Django's (SMTP, anymail)."""

import logging
from email.headerregistry import Address
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException, SMTPSenderRefused
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from notifications.mail import Mail
from notifications.shop import shop
from providers.breaker import breaker
from providers.deadline import Deadline, DeadlinePassed
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import provider

logger = logging.getLogger(__name__)

NAME = "email"
# Replies about the recipient or the content: another try gets the same. Others are about us, or pass.
PERMANENT = range(550, 555)
PASSING = (401, 403, 408, 429)


def send(mail: Mail, *, key: str) -> None:
    """Deliver a mail once per key, as far as the receiver knows keys.

    Raises ProviderRefused (another try is pointless), ProviderUnavailable or OutcomeUnknown.
    """
    if settings.MAIL_BY_API:
        body = {"to": mail.to, "subject": mail.subject, "text": mail.text, "html": mail.html}
        provider(NAME).post("/messages", body, key=key)
    else:
        _send_by_backend(_message(mail, key))


def _message(mail: Mail, key: str) -> EmailMultiAlternatives:
    known, name = settings.DEFAULT_FROM_EMAIL, shop().name
    sender = known if "<" in known else str(Address(name, addr_spec=known))
    support = [shop().support_email] if shop().support_email else None
    domain = known.rpartition("@")[2].rstrip(">")
    # The same for every try: mailboxes drop the second one of an id.
    headers = {"Message-ID": f"<{key.replace(':', '.')}@{domain}>", "Auto-Submitted": "auto-generated"}
    message = EmailMultiAlternatives(
        mail.subject, mail.text, sender, [mail.to], reply_to=support, headers=headers
    )
    message.attach_alternative(mail.html, "text/html")
    return message


def _send_by_backend(message: EmailMultiAlternatives) -> None:
    watch = breaker(NAME)
    admission = watch.admit()
    if not admission.allowed:
        raise ProviderUnavailable(NAME, "its breaker is open", retry_after=admission.retry_after)
    answered = False
    try:
        _send_in_time(message)
        answered = True
    except ProviderRefused:
        answered = True  # a refusal proves health too
        raise
    finally:
        watch.record(admission, ok=answered)


def _send_in_time(message: EmailMultiAlternatives) -> None:
    """One deadline for the whole conversation: SMTP has dozens of answers, each of which may take its time."""
    try:
        with Deadline(settings.EXTERNAL_TIMEOUT_SECONDS) as deadline, deadline.sockets():
            message.connection = get_connection()
            message.send()
    except DeadlinePassed as error:
        raise OutcomeUnknown(NAME, "no answer in time") from error
    except SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _by_code(code, text) from error
    except (SMTPSenderRefused, SMTPResponseException) as error:
        raise _by_code(error.smtp_code, error.smtp_error) from error
    except (SMTPException, OSError) as error:
        raise OutcomeUnknown(NAME, f"the connection broke ({type(error).__name__})") from error
    except Exception as error:
        if (status := getattr(error, "status_code", None)) is None and not hasattr(error, "esp_name"):
            raise
        raise _by_api(error, status) from error


def _by_code(code: int, text: Any) -> Exception:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    if code in PERMANENT:
        return ProviderRefused(NAME, code, str(code), words)
    return ProviderUnavailable(NAME, f"it answered {code}")


def _by_api(error: Exception, status: int | None) -> Exception:
    if status is None and "Refused" not in type(error).__name__:
        return OutcomeUnknown(NAME, f"no usable answer ({type(error).__name__})")
    if status is None or (400 <= status < 500 and status not in PASSING):
        return ProviderRefused(NAME, status or 400, str(status or "recipient"), str(error))
    return ProviderUnavailable(NAME, f"it answered {status}")
