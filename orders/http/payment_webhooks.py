"""POST /api/payments/webhook: outcomes pushed by the payment provider.

Nothing depends on them: what a webhook does not deliver is looked up.
"""

from typing import Any

import structlog
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
from orders import queries, wakeup
from orders.maintenance.restore import restored
from orders.refunding import disputes, reversals
from payments import webhooks
from payments.gateways import gateway, names_in_use
from payments.gateways.protocol import Event, NotForUs, NotGenuine, NotUnderstood, PaymentGateway
from payments.models import Transaction
from providers.errors import ProviderUnavailable
from scheduling.slots import database_now
from telemetry import measures

logger = structlog.get_logger(__name__)


class PaymentWebhook(APIView):
    """Takes signed webhooks of a gateway; there is nothing here (404) for one without secrets."""

    authentication_classes: list[Any] = []  # authenticated by signature
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def post(self, request: Request, name: str = "") -> Response:
        """Take a webhook. 200 means that it need not be sent again, whether or not it changed anything."""
        provider = _gateway(name)
        try:
            event = _parse(provider, request)
        except NotForUs as error:
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


def _gateway(name: str) -> PaymentGateway:
    if name and name not in names_in_use():
        raise Http404
    found = gateway(name)
    if not found.webhook_secrets():
        raise Http404
    return found


def _parse(provider: PaymentGateway, request: Request) -> Event:
    """Verify the signature over the raw bytes, before parsing."""
    raw = request._request
    if int(raw.headers.get("Content-Length") or 0) > webhooks.LARGEST_BODY:
        message = f"At most {webhooks.LARGEST_BODY} bytes."
        raise Problem("body_too_large", message, status_code=status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
    try:
        return provider.parse_webhook(raw.headers, raw.body, now=database_now())
    except NotGenuine as error:
        field, code = "Webhook-Signature", status.HTTP_403_FORBIDDEN
        raise Problem("invalid_signature", str(error), field=field, status_code=code) from None
    except NotUnderstood:
        raise Problem("malformed_event", "This is no event that can be read.") from None
    except ProviderUnavailable as error:
        unavailable = status.HTTP_503_SERVICE_UNAVAILABLE
        raise Problem("provider_unavailable", str(error), status_code=unavailable) from None


def _apply(event: Event) -> str:
    if not webhooks.is_new(event):
        return "duplicate"
    try:
        return _record(event, queries.any_by_reference(event.reference).pk)
    except queries.OrderNotFound:
        return _apply_to_archived(event)


def _apply_to_archived(event: Event) -> str:
    """Restore an archived order that is disputed, or whose refund failed after all."""
    try:
        order_id = queries.archived_id(event.reference)
    except queries.OrderNotFound:  # no reference of ours
        return "nothing_new"
    if order_id is None:
        return "nothing_new"
    with restored(order_id) as order:
        status_now = _record(event, order_id)
        order.keep = status_now == "applied"
    return status_now


def _record(event: Event, order_id: int) -> str:
    if event.kind == Transaction.Kind.DISPUTE:
        return "applied" if disputes.record_news(event, order_id=order_id) else "nothing_new"
    late_outcome = webhooks.late_outcome_of(event, order_id=order_id)
    if late_outcome is None:
        return "nothing_new"
    entry, outcome = late_outcome
    return "applied" if reversals.record_news(entry, outcome) else "nothing_new"
