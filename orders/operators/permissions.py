"""Which operations on any order a user's permissions allow."""

from typing import Any

# What may be asked of any order with which permission; with `operate_order` everything.
ALSO_WITH = {
    "complete": "orders.complete_order",
    "refund": "orders.refund_order",
    # A refund that its provider refused is settled there, and then tried again.
    "retry": "orders.refund_order",
}


def may_operate(user: Any, operation: str) -> bool:
    """Return whether a user may do something to any order they see."""
    special = ALSO_WITH.get(operation)
    return bool(user.has_perm("orders.operate_order") or (special and user.has_perm(special)))


def is_operator(user: Any) -> bool:
    """Return whether a user may do anything to any order they see."""
    return bool(user.has_perm("orders.operate_order"))
