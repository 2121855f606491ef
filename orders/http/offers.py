"""The commands that an answer offers: those that its reader may run on the order now."""

from typing import Any, NamedTuple

from orders.models import Journey
from orders.permissions import is_demo_customer, is_operator, may_operate, sees_all_orders
from orders.status import Status

OWNERS = frozenset({"process", "cancel", "ticket"})
OPERATORS = OWNERS | {"complete"}
BEFORE_COMPLETION = frozenset({Status.PENDING, Status.PROCESSING, Status.CONFIRMED})


class Viewer(NamedTuple):
    """Who reads an answer: what they see of orders, and which commands they may run on their own and on all."""

    user_id: int | None
    sees_all: bool
    on_own: frozenset[str]
    on_all: frozenset[str]


# Receivers of webhooks have no account.
NO_ACCOUNT = Viewer(None, sees_all=False, on_own=frozenset(), on_all=frozenset())


def viewer_of(user: Any) -> Viewer:
    """Return the reader, without a query unless it is staff."""
    return Viewer(
        user.pk,
        sees_all=sees_all_orders(user),
        on_own=OPERATORS if is_demo_customer(user) else OWNERS,
        on_all=_on_all(user) if user.is_staff else frozenset(),
    )


def _on_all(user: Any) -> frozenset[str]:
    if is_operator(user):
        return OPERATORS
    return frozenset({"complete"}) if may_operate(user, "complete") else frozenset()


def offers(journey: Journey, *, owner_id: int, viewer: Viewer) -> frozenset[str]:
    """Return the commands that have an effect now and that the reader may run."""
    allowed = viewer.on_all | (viewer.on_own if owner_id == viewer.user_id else frozenset())
    return allowed & open_commands(
        journey.status, is_held=journey.is_held, is_to_be_completed=journey.completion_requested
    )


def open_commands(status: str, *, is_held: bool, is_to_be_completed: bool = False) -> frozenset[str]:
    found = {"ticket"}
    if is_held:
        found.add("process")
    if status in BEFORE_COMPLETION:
        found.add("cancel")
        if not is_to_be_completed:
            found.add("complete")
    return frozenset(found)
