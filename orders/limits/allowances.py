"""Limits on an account's held and unpaid orders."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from django.conf import settings

from api.models import IdempotencyKey
from api.problems import Problem
from database.prepared import execute
from orders.limits import declines
from orders.placing.pricing import NewOrder

RETRY_AFTER_SECONDS = 5
# Older orders have ended, or are delayed by no fault of the account.
LATEST = 2000

HELD = """
    SELECT count(*) FROM (
        SELECT FROM orders_journey j JOIN orders_order o ON o.id = j.order_id
        WHERE j.status = 'pending' AND j.due_at IS NULL AND o.owner_id = %s::bigint LIMIT %s::int
    ) held
"""
UNPAID = """
    SELECT count(*), coalesce(sum(goods.units), 0)::bigint FROM (
        SELECT id FROM orders_order WHERE owner_id = %s::bigint ORDER BY id DESC LIMIT %s::int
    ) latest
    JOIN orders_journey j ON j.order_id = latest.id
    CROSS JOIN LATERAL (SELECT sum(quantity) AS units FROM orders_orderline WHERE order_id = latest.id) goods
    WHERE j.due_at IS NOT NULL AND j.status IN ('pending', 'processing') AND NOT j.payment = 'captured'
"""


class Candidate(NamedTuple):
    """An order to place, and its idempotency key."""

    new: NewOrder
    key: str = ""


def refusals(owner_id: int, candidates: Sequence[Candidate]) -> dict[int, Problem]:
    """Return problems by index of orders. A repeat is never refused."""
    refused = _held_problems(owner_id, candidates) | _decline_problems(owner_id, candidates)
    keys = [candidates[place].key for place in refused if candidates[place].key]
    repeats = IdempotencyKey.objects.stored(owner_id=owner_id, keys=keys)
    return {place: problem for place, problem in refused.items() if candidates[place].key not in repeats}


def _held_problems(owner_id: int, candidates: Sequence[Candidate]) -> dict[int, Problem]:
    """Refuse held orders beyond HELD_ORDERS_PER_ACCOUNT."""
    held = [place for place, candidate in enumerate(candidates) if candidate.new.hold]
    if not held:
        return {}
    most = settings.HELD_ORDERS_PER_ACCOUNT
    ((count,),) = execute(HELD, [owner_id, most])
    return dict.fromkeys(held[most - count :], _too_many_held(most))


def _decline_problems(owner_id: int, candidates: Sequence[Candidate]) -> dict[int, Problem]:
    """Refuse orders after too many declines, or with too much unpaid."""
    standing = declines.standing(owner_id)
    if standing.wait:
        return dict.fromkeys(range(len(candidates)), _too_many_declines(standing.wait))
    if not standing.is_watched:
        return {}
    ((orders, units),) = execute(UNPAID, [owner_id, LATEST])
    problem, refused = _too_much_unpaid(), {}
    for place, candidate in _starting(candidates):
        more = sum(line.quantity for line in candidate.new.lines)
        if orders >= settings.UNPAID_ORDERS_PER_ACCOUNT or units + more > settings.UNPAID_UNITS_PER_ACCOUNT:
            refused[place] = problem
        else:
            orders, units = orders + 1, units + more
    return refused


def _starting(candidates: Sequence[Candidate]) -> Iterable[tuple[int, Candidate]]:
    return ((place, candidate) for place, candidate in enumerate(candidates) if not candidate.new.hold)


def _too_many_held(most: int) -> Problem:
    message = f"At most {most} orders of one account may be on hold. Process or cancel some."
    return Problem("too_many_held_orders", message, field="hold", status_code=HTTPStatus.CONFLICT)


def _too_many_declines(wait: float) -> Problem:
    message = "Most payments of this account were declined. Try again later."
    return Problem("too_many_declines", message, status_code=HTTPStatus.TOO_MANY_REQUESTS, retry_after=wait)


def _too_much_unpaid() -> Problem:
    message = (
        "Payments of this account were declined, so it may have at most"
        f" {settings.UNPAID_ORDERS_PER_ACCOUNT} orders and {settings.UNPAID_UNITS_PER_ACCOUNT} units under way"
        " that are not paid yet."
    )
    return Problem(
        "too_many_unpaid_orders",
        message,
        status_code=HTTPStatus.TOO_MANY_REQUESTS,
        retry_after=RETRY_AFTER_SECONDS,
    )
