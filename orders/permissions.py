"""Who may do what to an order that they may see. Who may see which is `orders.queries.visible_to`."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orders.authentication import DEMO_USERNAME
from orders.models import Order


def is_operator(user: Any) -> bool:
    """Return whether a user may operate any order they see."""
    return bool(user.has_perm("orders.operate_order"))


class OwnerOrOperator(BasePermission):
    """The owner of an order may start it and call it off, and so may an operator."""

    message = "Only the owner of an order or an operator may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        """Whether this user may do it to this order."""
        return obj.owner_id == request.user.pk or is_operator(request.user)


class Operator(BasePermission):
    """Only operators may do this."""

    message = "Only an operator may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        """Whether this user may do it to this order."""
        return is_operator(request.user)


class OperatorOrDemoOwner(Operator):
    """Operators, and in demo mode the demo customer with its own orders: there is nobody else to do it."""

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:
        """Whether this user may do it to this order."""
        user = request.user
        own_demo = settings.DEMO and user.get_username() == DEMO_USERNAME and obj.owner_id == user.pk
        return own_demo or super().has_object_permission(request, view, obj)
