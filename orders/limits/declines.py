"""Throttling of accounts by declined payments.

A decline takes a token from the account's bucket in Valkey unless most of its latest orders are paid. An empty bucket
stops orders; a few declines limit unpaid ones (`orders.limits.allowances`). Without Valkey there is no throttling.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings

from api.throttling import Unavailable, buckets
from database.arrays import numbers
from database.prepared import execute
from limits.rates import Rate
from payments.gateways.protocol import Outcome

# Up to the latest declined order: later ones are mostly not charged yet.
LATEST = 50
POOR_PAYERS = """
    WITH declined AS (
        SELECT owner_id, count(*) AS count, max(id) AS latest FROM orders_order
        WHERE id = ANY(%s::bigint[]) GROUP BY owner_id
    )
    SELECT owner_id, declined.count FROM declined CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE j.payment = 'refused') AS refused,
               count(*) FILTER (WHERE j.payment IN ('captured', 'refunding', 'refunded', 'held', 'moving',
                                                       'expired')) AS paid
        FROM (
            SELECT id FROM orders_order o WHERE o.owner_id = declined.owner_id AND o.id <= declined.latest
            ORDER BY id DESC LIMIT %s::int
        ) latest JOIN orders_journey j ON j.order_id = latest.id
    ) outcomes WHERE outcomes.refused > outcomes.paid
"""

# The key's TTL is the time until the bucket is full. ARGV: milliseconds to take, maximum.
TAKE = """
local left = math.max(0, redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], 1, 'PX', math.min(left + tonumber(ARGV[1]), tonumber(ARGV[2])))
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Seconds until the next order, and whether unpaid orders are limited."""

    wait: float = 0.0
    is_watched: bool = False


# Tolerated declines.
TOLERATED_DECLINES = 4
GOOD = Standing()


def note(outcomes: Mapping[int, Outcome]) -> None:
    """Take tokens for declined orders."""
    declined = [order_id for order_id, outcome in outcomes.items() if outcome.kind == "declined"]
    rate = Rate.parse(settings.DECLINES_PER_ACCOUNT)
    if not declined or rate is None:
        return
    gap = rate.seconds / rate.requests * 1000
    with suppress(Unavailable):
        for owner_id, count in execute(POOR_PAYERS, [numbers(declined), LATEST]):
            buckets().ask("EVAL", TAKE, 1, _bucket(owner_id), int(gap * count), int(rate.seconds * 1000))


def standing(owner_id: int) -> Standing:
    rate = Rate.parse(settings.DECLINES_PER_ACCOUNT)
    if rate is None:
        return GOOD
    try:
        until_full = float(buckets().ask("PTTL", _bucket(owner_id))) / 1000
    except Unavailable:
        return GOOD
    gap = rate.seconds / rate.requests
    return Standing(
        max(0.0, until_full - rate.seconds + gap), is_watched=until_full > TOLERATED_DECLINES * gap
    )


def _bucket(owner_id: int) -> str:
    return f"throttle:declines:{owner_id}"
