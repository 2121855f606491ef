"""Permissions on orders; visibility is in `orders.queries`."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.authentication import DEMO_USERNAME
from orders.models import Order

# Single operations; `operate_order` allows all.
ALSO_WITH = {
    "complete": "orders.complete_order",
    "refund": "orders.refund_order",
    "retry": "orders.refund_order",
}


def sees_all_orders(user: Any) -> bool:
    """Whether a user is staff with `view_order`."""
    return bool(getattr(user, "is_staff", False) and user.has_perm("orders.view_order"))


def may_operate(user: Any, operation: str) -> bool:
    special = ALSO_WITH.get(operation)
    return bool(user.has_perm("orders.operate_order") or (special and user.has_perm(special)))


def may_price(user: Any) -> bool:
    """Whether a user may give prices and adjustments of the orders it places."""
    return bool(user.has_perm("orders.price_order"))


def is_operator(user: Any) -> bool:
    return bool(user.has_perm("orders.operate_order"))


class OwnerOrOperator(BasePermission):
    message = "Only the owner of an order or an operator may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        return obj.owner_id == request.user.pk or is_operator(request.user)


class Operator(BasePermission):
    """Users with permission for the view's operation."""

    message = "Only an operator may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        return may_operate(request.user, getattr(view, "operation", ""))


class SeesAllOrders(BasePermission):
    message = "Only staff who may view orders may do this."

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002 - DRF's signature
        return sees_all_orders(request.user)


class ReadsExplanations(BasePermission):
    """Staff, and the demo customer."""

    message = "Only staff may do this."

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:  # noqa: ARG002
        return sees_all_orders(request.user) or _is_own_demo(request.user, obj)


class OperatorOrDemoOwner(Operator):
    """Operators, and the demo customer."""

    def has_object_permission(self, request: Request, view: Any, obj: Order) -> bool:
        return _is_own_demo(request.user, obj) or super().has_object_permission(request, view, obj)


def is_demo_customer(user: Any) -> bool:
    return bool(settings.DEMO and user.get_username() == DEMO_USERNAME)


def _is_own_demo(user: Any, order: Order) -> bool:
    return is_demo_customer(user) and order.owner_id == user.pk
