"""The board's viewers: users; in demo mode the demo customer."""

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.authentication import DEMO_USERNAME
from orders.permissions import sees_all_orders


def viewer_of(request: HttpRequest) -> User | None:
    """Return the viewer; None requires a login."""
    if isinstance(request.user, User):
        return request.user
    if not settings.DEMO:
        return None
    return User.objects.filter(username=DEMO_USERNAME, is_active=True).first()


def sees_the_shop(user: User) -> bool:
    return sees_all_orders(user) or settings.DEMO


class SeesTheShop(BasePermission):
    """Staff who may view orders; in demo mode every user."""

    message = "Only staff may see this."

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
        return isinstance(request.user, User) and sees_the_shop(request.user)


class InDemo(BasePermission):
    """Demo mode only."""

    message = "Only a demo has this."

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
        return settings.DEMO and isinstance(request.user, User)
