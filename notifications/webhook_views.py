"""Webhooks API for staff: subscriptions, deliveries, redelivery."""

from datetime import datetime
from typing import Annotated, Literal

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import answer_once
from api.pagination import PAGE_PARAMETERS, newest_first
from api.problems import Problem
from api.requests import Body, Nothing, read
from api.responses import Answer
from api.schema import IDEMPOTENCY_KEY, refusals
from notifications.models import Delivery, Subscription, new_secret
from notifications.outgoing import NotAllowed, check_url
from notifications.views import LARGEST_ID
from notifications.webhooks import SWITCH_ON_FIELDS, queue_test, redeliver, switch_on
from orders.events import EventType


class ManagesWebhooks(BasePermission):
    """Staff who may change subscriptions: these reveal every order."""

    message = "Only staff who may change subscriptions may do this."

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
        user = request.user
        return bool(user.is_staff and user.has_perm("notifications.change_subscription"))


class NewSubscription(Body):
    """A new subscription; without events: those that change an order's status."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    events: Annotated[list[EventType], Meta(max_length=len(EventType))] = []


class ChangedSubscription(Body):
    """Changes to a subscription. Another URL needs another secret, and so does another form of signature."""

    signature: (
        Annotated[
            Literal["standard"],
            Meta(description="From the former form to Standard Webhooks, with a new secret in the answer."),
        ]
        | None
    ) = None
    active: bool | None = None
    events: Annotated[list[EventType], Meta(max_length=len(EventType))] | None = None


class SubscriptionBody(Answer):
    """A subscription. The secret appears only in the first answer to its creation.

    A repeat with the same Idempotency-Key has null. Lasting failures switch it off.
    """

    id: int
    url: str
    events: list[str]
    active: bool
    signature: Annotated[
        str, Meta(extra_json_schema={"enum": list(Subscription.Signature.values)}, examples=["standard"])
    ]
    created_at: datetime
    failing_since: datetime | None
    retry_at: datetime | None
    switched_off_at: datetime | None
    switched_off_reason: str | None
    secret: str | None = None


class Subscriptions(Answer):
    """All subscriptions."""

    results: list[SubscriptionBody]


class DeliveryBody(Answer):
    """A delivery of one event to one subscription."""

    id: int
    order_id: Annotated[int | None, Meta(description="Null for a test delivery.")]
    sequence: int
    event: str
    state: str
    attempts: int
    status_code: int | None
    failure: str | None
    created_at: datetime
    delivered_at: datetime | None


class DeliveryPage(Answer):
    """Deliveries, newest first."""

    next: str | None
    results: list[DeliveryBody]


FORBIDDEN = refusals(_403="permission_denied")
ID = OpenApiParameter("subscription_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class Webhooks(APIView):
    """Webhook subscriptions."""

    permission_classes = [ManagesWebhooks]

    @extend_schema(
        tags=["notifications"],
        operation_id="list_webhooks",
        summary="List the subscriptions to webhooks (staff)",
        responses={200: Subscriptions} | FORBIDDEN,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List subscriptions."""
        return Response(Subscriptions(results=[_subscription(each) for each in Subscription.objects.all()]))

    @extend_schema(
        tags=["notifications"],
        operation_id="create_webhook",
        summary="Create a webhook subscription (staff)",
        description=(
            "Each event is a POST with the message of the live feed as its body, and in `order` the order as"
            " `GET /api/orders/{reference}` has it when the message is sent. Messages follow"
            " [Standard Webhooks](https://www.standardwebhooks.com), whose libraries verify them: `webhook-id` is"
            " the same however often it is tried, `webhook-timestamp` are seconds since 1970, `webhook-signature` is"
            " `v1,<base64>`: HMAC-SHA256 over `<id>.<timestamp>.<body>` with the key that follows `whsec_` in"
            " base64. Answer with 2xx; anything else is tried again with growing pauses. Events of one order arrive"
            " in their order.\n\n"
            "The secret is in this answer only: a repeat with the same `Idempotency-Key` has null instead. If the"
            " first answer was lost, delete the subscription and make another."
        ),
        request=NewSubscription,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: SubscriptionBody}
        | refusals(_400="malformed_json required unknown_field wrong_type invalid address_not_allowed")
        | FORBIDDEN,
    )
    def post(self, request: Request) -> Response:
        """Subscribe, once per idempotency key."""
        return answer_once(request, lambda: self._subscribe(request), once_only=("secret",))

    def _subscribe(self, request: Request) -> Response:
        wanted = read(request.data, NewSubscription)
        try:
            check_url(wanted.url)
        except NotAllowed as problem:
            raise Problem("address_not_allowed", f"Not allowed: {problem}.", field="url") from None
        events, owner_id = [event.value for event in wanted.events], request.user.pk
        made = Subscription.objects.create(url=wanted.url, events=events, owner_id=owner_id)
        made.refresh_from_db()
        return Response(_subscription(made, secret=made.secret), status=status.HTTP_201_CREATED)


class OneWebhook(APIView):
    """One subscription."""

    permission_classes = [ManagesWebhooks]

    @extend_schema(
        tags=["notifications"],
        operation_id="get_webhook",
        summary="Get a subscription to webhooks (staff)",
        parameters=[ID],
        responses={200: SubscriptionBody} | refusals(_404="not_found") | FORBIDDEN,
    )
    def get(self, request: Request, subscription_id: int) -> Response:  # noqa: ARG002
        """Return it, without its secret."""
        return Response(_subscription(_one(subscription_id)))

    @extend_schema(
        tags=["notifications"],
        operation_id="change_webhook",
        summary="Switch a subscription off or on, or have it told of other events (staff)",
        parameters=[ID],
        request=ChangedSubscription,
        responses={200: SubscriptionBody}
        | refusals(_400="malformed_json unknown_field wrong_type invalid", _404="not_found")
        | FORBIDDEN,
    )
    def patch(self, request: Request, subscription_id: int) -> Response:
        """Change it. Switching off fails pending deliveries; switching on resets failures."""
        wanted, secret = read(request.data, ChangedSubscription), None
        found = _one(subscription_id)
        changed: list[str] = []
        if wanted.active:
            switch_on(found)
            changed += SWITCH_ON_FIELDS
        elif wanted.active is not None:
            found.active = False
            changed += ["active"]
        if wanted.events is not None:
            found.events = [event.value for event in wanted.events]
            changed += ["events"]
        if wanted.signature is not None and found.signature != wanted.signature:
            found.signature, found.secret = wanted.signature, new_secret()
            secret = found.secret
            changed += ["signature", "secret"]
        if changed:
            found.save(update_fields=changed)
        return Response(_subscription(found, secret=secret))

    @extend_schema(
        tags=["notifications"],
        operation_id="delete_webhook",
        summary="Tell an address no more (staff)",
        parameters=[ID],
        responses={204: OpenApiResponse(description="Gone.")} | refusals(_404="not_found") | FORBIDDEN,
    )
    def delete(self, request: Request, subscription_id: int) -> Response:  # noqa: ARG002
        """Delete it with its deliveries."""
        _one(subscription_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestDelivery(APIView):
    """Test deliveries."""

    permission_classes = [ManagesWebhooks]

    @extend_schema(
        tags=["notifications"],
        operation_id="test_webhook",
        summary="Send a test delivery to a subscription (staff)",
        description=(
            "It is signed and retried like any other, belongs to no order, and leaves within seconds:"
            " `GET /api/webhooks/{subscription_id}/deliveries` has its outcome."
        ),
        request=Nothing,
        parameters=[ID],
        responses={202: OpenApiResponse(DeliveryBody, description="Queued.")}
        | refusals(_404="not_found", _409="not_possible")
        | FORBIDDEN,
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        """Queue a test delivery."""
        read(request.data, Nothing)
        found = _one(subscription_id)
        if not found.active:
            raise Problem("not_possible", "The subscription is switched off.", status_code=409)
        return Response(_delivery(queue_test(found)), status=status.HTTP_202_ACCEPTED)


class Deliveries(APIView):
    """A subscription's deliveries."""

    permission_classes = [ManagesWebhooks]

    @extend_schema(
        tags=["notifications"],
        operation_id="list_webhook_deliveries",
        summary="List what a subscription was told, the newest first (staff)",
        parameters=[ID, *PAGE_PARAMETERS],
        responses={200: DeliveryPage} | refusals(_400="invalid_parameter", _404="not_found") | FORBIDDEN,
    )
    def get(self, request: Request, subscription_id: int) -> Response:
        """List deliveries."""
        rows, following = newest_first(request, _one(subscription_id).deliveries.all())
        return Response(DeliveryPage(next=following, results=[_delivery(row) for row in rows]))


class Redelivery(APIView):
    """Redelivers an event."""

    permission_classes = [ManagesWebhooks]

    @extend_schema(
        tags=["notifications"],
        operation_id="redeliver_webhook",
        summary="Tell an event once more (staff)",
        request=Nothing,
        parameters=[OpenApiParameter("delivery_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        responses={200: DeliveryBody} | refusals(_404="not_found") | FORBIDDEN,
    )
    def post(self, request: Request, delivery_id: int) -> Response:
        """Queue it again; a waiting one is sent anyway."""
        read(request.data, Nothing)
        found: QuerySet[Delivery] = Delivery.objects.filter(pk=min(delivery_id, LARGEST_ID))
        redeliver(found, user_id=int(request.user.pk or 0))
        delivery = found.first()
        if delivery is None:
            raise Problem("not_found", "There is no such delivery.", status_code=404)
        return Response(_delivery(delivery))


def _one(subscription_id: int) -> Subscription:
    found = Subscription.objects.filter(pk=min(subscription_id, LARGEST_ID)).first()
    if found is None:
        raise Problem("not_found", "There is no such subscription.", status_code=404)
    return found


def _subscription(row: Subscription, *, secret: str | None = None) -> SubscriptionBody:
    return SubscriptionBody(
        id=row.pk,
        url=row.url,
        events=row.events,
        active=row.active,
        signature=row.signature,
        created_at=row.created_at,
        failing_since=row.failing_since,
        retry_at=row.retry_at,
        switched_off_at=row.switched_off_at,
        switched_off_reason=row.switched_off_reason or None,
        secret=secret,
    )


def _delivery(row: Delivery) -> DeliveryBody:
    return DeliveryBody(
        id=row.pk,
        order_id=row.order_id or None,
        sequence=row.sequence,
        event=row.event,
        state=row.state,
        attempts=row.attempts,
        status_code=row.status_code,
        failure=row.failure or None,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
    )
