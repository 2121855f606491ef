"""Who may do what to an order that they may see. Who may see which is `orders.queries.visible_to`."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.authentication import DEMO_USERNAME
from orders.models import Order

# What may be asked of any order with which permission; with `operate_order` everything.
ALSO_WITH = {
    "complete": "orders.complete_order",
    "refund": "orders.refund_order",
    # A refund that its provider refused is settled there, and then tried again.
    "retry": "orders.refund_order",
}


def sees_all_orders(user: Any) -> bool:
    """Return whether a user may see every order, whoever placed it: staff with the permission to view orders.

    `is_staff` alone opens the desk and nothing in it; over the API such an account is a customer.
    """
    return bool(getattr(user, "is_staff", False) and user.has_perm("orders.view_order"))


def may_operate(user: Any, operation: str) -> bool:
    """Return whether a user may do something to any order they see."""
    special = ALSO_WITH.get(operation)
    return bool(user.has_perm("orders.operate_order") or (special and user.has_perm(special)))


def is_operator(user: Any) -> bool:
    """Return whether a user may do anything to any order they see."""
    return bool(user.has_perm("orders.operate_order"))


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


class SeesAllOrders(BasePermission):
    """Staff who may view orders."""

    message = "Only staff who may view orders may do this."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002 - DRF's signature
        """Whether this user may."""
        return sees_all_orders(request.user)


class ReadsExplanations(BasePermission):
    """Staff, who are to find out why an order is stuck, and in demo mode the demo customer."""

    message = "Only staff may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        """Whether this user may read it."""
        return sees_all_orders(request.user) or _is_own_demo(request.user, obj)


class OperatorOrDemoOwner(Operator):
    """Operators, and in demo mode the demo customer with its own orders: there is nobody else to do it."""

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:
        """Whether this user may do it to this order."""
        return _is_own_demo(request.user, obj) or super().has_object_permission(request, view, obj)


def _is_own_demo(user: Any, order: Order) -> bool:
    return settings.DEMO and user.get_username() == DEMO_USERNAME and order.owner_id == user.pk
