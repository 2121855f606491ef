"""Notes, assignees and tags of orders. Each change is logged with its user."""

import re
from collections.abc import Iterable

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet

from desk.models import LONGEST_NOTE, LONGEST_TAG, MOST_TAGS, Handling, Note
from orders.models import Order
from orders.status import UNDER_WAY

TAG = re.compile(rf"[\w][\w -]{{0,{LONGEST_TAG - 1}}}")


class Refused(Exception):
    """The input cannot be stored; the text says why."""


def add_note(order_id: int, text: str, *, user: User) -> Note:
    """Store a note. Raises Refused for an empty or too long one."""
    text = text.strip()
    if not text:
        raise Refused("Write something first.")
    if len(text) > LONGEST_NOTE:
        raise Refused(f"A note has at most {LONGEST_NOTE:,} characters.")
    return Note.objects.create(order_id=order_id, author=user, author_name=user.get_username(), text=text)


def parse_tags(text: str) -> list[str]:
    """Return the tags of a comma-separated text in lower case, each once. Raises Refused for an impossible one."""
    tags = list(dict.fromkeys(tag.strip().lower() for tag in text.split(",") if tag.strip()))
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise Refused(
                f"“{tag[:LONGEST_TAG]}” cannot be a tag: use up to {LONGEST_TAG} letters, digits, blanks or hyphens."
            )
    if len(tags) > MOST_TAGS:
        raise Refused(f"An order has at most {MOST_TAGS} tags.")
    return tags


def handle(order: Order, *, assignee: User | None, tags: Iterable[str], user: User) -> bool:
    """Set an order's assignee and tags. Return whether that changed anything."""
    tags = list(tags)
    with transaction.atomic():
        Handling.objects.get_or_create(order_id=order.pk)
        handling = (
            Handling.objects.select_for_update(of=("self",)).select_related("assignee").get(pk=order.pk)
        )
        changes = _changes(handling, assignee, tags)
        if changes:
            handling.assignee, handling.tags = assignee, tags
            handling.save(update_fields=["assignee", "tags"])
            orders = Order.objects.filter(pk=order.pk)
            LogEntry.objects.log_actions(user.pk, orders, CHANGE, change_message=f"{'; '.join(changes)}.")
    return bool(changes)


def _changes(handling: Handling, assignee: User | None, tags: list[str]) -> list[str]:
    found = []
    if handling.assignee != assignee:
        found.append(f"Assigned to {assignee.get_username()}" if assignee else "Assigned to no one")
    if handling.tags != tags:
        found.append(f"Tagged {', '.join(tags)}" if tags else "Tags removed")
    return found


def operators() -> QuerySet[User]:
    return User.objects.filter(Q(is_superuser=True) | Q(is_staff=True), is_active=True).order_by("username")


def assigned_to(user_id: int) -> int:
    """Return how many orders in progress, or needing attention, are assigned to a user."""
    assigned = Handling.objects.filter(assignee_id=user_id).values("order_id")
    is_open = Q(journey__status__in=UNDER_WAY) | Q(journey__attention__gt="")
    return Order.objects.filter(is_open, pk__in=assigned).count()
