"""POST /api/payments/webhook: outcomes pushed by the payment provider.

Nothing depends on them: what a webhook does not deliver is looked up.
"""

from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import faults
from api.problems import Problem
from orders import queries, reversals, wakeup
from payments import webhooks
from scheduling.slots import database_now
from telemetry import measures

logger = structlog.get_logger(__name__)


class PaymentWebhook(APIView):
    """Takes signed webhooks; there is nothing here (404) unless PAYMENT_WEBHOOK_SECRETS is set."""

    authentication_classes: list[Any] = []  # authenticated by signature
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        """Take a webhook. 200 means that it need not be sent again, whether or not it changed anything."""
        if not settings.PAYMENT_WEBHOOK_SECRETS:
            raise Http404
        try:
            event = _verify(request)
        except webhooks.NotForUs as error:
            # An error would be resent for days, then the provider disables all webhooks.
            logger.info("payment_webhook_ignored", event_type=error.event_type)
            measures.WEBHOOKS_IGNORED.add()
            return Response({"status": "ignored"})
        with transaction.atomic():
            status_now = _apply(event)
            faults.point("webhook.before_commit")
        faults.point("webhook.after_commit")
        wakeup.announce_events()
        return Response({"status": status_now})


def _verify(request: Request) -> webhooks.Event:
    """Verify the signature over the raw bytes, before parsing."""
    raw = request._request
    if int(raw.headers.get("Content-Length") or 0) > webhooks.LARGEST_BODY:
        message = f"At most {webhooks.LARGEST_BODY} bytes."
        raise Problem("body_too_large", message, status_code=status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
    try:
        header, secrets = raw.headers.get("Webhook-Signature", ""), settings.PAYMENT_WEBHOOK_SECRETS
        webhooks.verify(header=header, body=raw.body, secrets=secrets, now=database_now())
        return webhooks.read(raw.body)
    except webhooks.NotGenuine as error:
        field, code = "Webhook-Signature", status.HTTP_403_FORBIDDEN
        raise Problem("invalid_signature", str(error), field=field, status_code=code) from None
    except webhooks.NotUnderstood:
        raise Problem("malformed_event", "This is no event that can be read.") from None


def _apply(event: webhooks.Event) -> str:
    if not webhooks.is_new(event):
        return "duplicate"
    try:
        order_id = queries.any_by_reference(event.operation.reference).pk
    except queries.OrderNotFound:
        return "nothing_new"
    late_outcome = webhooks.late_outcome_of(event, order_id=order_id)
    if late_outcome is None:
        return "nothing_new"
    entry, outcome = late_outcome
    return "applied" if reversals.record_news(entry, outcome) else "nothing_new"
