"""Groups of staff and their permissions."""

from collections.abc import Sequence

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

SHOP = ("orders", "inventory", "payments", "shipping", "notifications", "scheduling", "limits", "desk")

# Notes on orders, assignees and tags.
HANDLING = [("desk", "add_note"), ("desk", "change_handling")]

# (app, code); "view_*": every view permission, "*": every permission.
GROUPS: dict[str, list[tuple[str, str]]] = {
    "support": [
        ("orders", "view_*"),
        ("orders", "operate_order"),
        *HANDLING,
        ("inventory", "view_*"),
        ("shipping", "view_*"),
        ("notifications", "view_notification"),
        ("notifications", "change_notification"),
    ],
    "finance": [
        ("orders", "view_*"),
        ("orders", "refund_order"),
        *HANDLING,
        ("payments", "view_*"),
        ("shipping", "view_*"),
    ],
    "warehouse": [
        ("orders", "view_*"),
        ("orders", "complete_order"),
        *HANDLING,
        ("inventory", "view_*"),
        ("inventory", "add_product"),
        ("inventory", "change_product"),
        ("inventory", "change_stockitem"),
        ("shipping", "*"),
    ],
    "read-only": [(app, "view_*") for app in SHOP],
}


def add_groups() -> int:
    """Add missing groups; existing ones keep their permissions. Return the number added."""
    return sum(_add(name) for name in GROUPS)


def permissions(wanted: Sequence[tuple[str, str]]) -> list[Permission]:
    if not wanted:
        return []
    matching = Q()
    for app, code in wanted:
        which = {"codename__startswith": code[:-1]} if code.endswith("*") else {"codename": code}
        matching |= Q(content_type__app_label=app, **which)
    return list(Permission.objects.filter(matching))


def _add(name: str) -> bool:
    with transaction.atomic():
        group, added = Group.objects.get_or_create(name=name)
        if added:
            group.permissions.set(permissions(GROUPS[name]))
    return added
