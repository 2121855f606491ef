"""Who may do what to an order that they may see. Who may see which is `orders.queries.visible_to`."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.authentication import DEMO_USERNAME
from orders.models import Order
from orders.operators.permissions import is_operator, may_operate


class OwnerOrOperator(BasePermission):
    """The owner of an order may start it and call it off, and so may an operator."""

    message = "Only the owner of an order or an operator may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        """Whether this user may do it to this order."""
        return obj.owner_id == request.user.pk or is_operator(request.user)


class Operator(BasePermission):
    """Only operators may do this, and those with the permission for what the view is named for."""

    message = "Only an operator may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        """Whether this user may do it to this order."""
        return may_operate(request.user, getattr(view, "operation", ""))


class ReadsExplanations(BasePermission):
    """Staff, who are to find out why an order is stuck, and in demo mode the demo customer."""

    message = "Only staff may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        """Whether this user may read it."""
        return bool(request.user.is_staff) or _is_own_demo(request.user, obj)


class OperatorOrDemoOwner(Operator):
    """Operators, and in demo mode the demo customer with its own orders: there is nobody else to do it."""

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:
        """Whether this user may do it to this order."""
        return _is_own_demo(request.user, obj) or super().has_object_permission(request, view, obj)


def _is_own_demo(user: Any, order: Order) -> bool:
    return settings.DEMO and user.get_username() == DEMO_USERNAME and order.owner_id == user.pk
