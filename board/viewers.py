"""Who looks at the board: whoever is logged in, and in demo mode the demo customer."""

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.authentication import DEMO_USERNAME
from orders.permissions import sees_all_orders


def viewer_of(request: HttpRequest) -> User | None:
    """Return whose eyes a page is for; None for a stranger, who has to log in first."""
    if isinstance(request.user, User):
        return request.user
    if not settings.DEMO:
        return None
    return User.objects.filter(username=DEMO_USERNAME, is_active=True).first()


def sees_the_shop(user: User) -> bool:
    """Whether somebody may see how the whole shop is doing, and not only their own orders."""
    return sees_all_orders(user) or settings.DEMO


class SeesTheShop(BasePermission):
    """Staff who may view orders; in demo mode whoever is there."""

    message = "Only staff may see this."

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
        """Whether this user may."""
        return isinstance(request.user, User) and sees_the_shop(request.user)


class InDemo(BasePermission):
    """Nobody, unless this is a demo: what is behind it would be no joke in a real shop."""

    message = "Only a demo has this."

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
        """Whether this is a demo."""
        return settings.DEMO and isinstance(request.user, User)
