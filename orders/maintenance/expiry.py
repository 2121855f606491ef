"""Authorizations that run out before staff have captured all of them.

Orders captured when they are confirmed are not watched: a deadline escalates them long before.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from orders.legs import PAYMENT
from orders.models import Journey
from orders.payment import captures
from orders.payment.captures import CAPTURABLE
from orders.workflow import JourneyState
from payments import ledger
from payments.expiry import expires_after
from payments.gateways import names_in_use
from payments.models import Transaction
from scheduling.pace import Pace

logger = logging.getLogger(__name__)

# Authorizations last for days, and a capture is refused from the moment on.
POLL_SECONDS = 300.0
AT_ONCE = 500

Act = Callable[[JourneyState, list[Transaction]], None]


class ExpiryWatch:
    def __init__(self) -> None:
        self._pace = Pace(POLL_SECONDS)

    def look(self) -> None:
        """Expire authorizations, and escalate orders whose authorization is about to; every few minutes."""
        if not self._pace.is_due():
            return
        lead = timedelta(hours=settings.AUTHORIZATION_ALERT_HOURS)
        for name in names_in_use():
            after = expires_after(name)
            if after is None:
                continue
            if count := _each(captures.expire, name, held_for=after):
                logger.warning("The authorizations of %d orders expired, not captured in full", count)
            if lead and (count := _each(captures.warn, name, held_for=after - lead, is_warning=True)):
                logger.warning("The authorizations of %d orders expire within %s", count, lead)


def _each(act: Act, gateway: str, *, held_for: timedelta, is_warning: bool = False) -> int:
    """Act on the orders whose authorization is so old. Return how many; at most AT_ONCE."""
    with transaction.atomic():
        order_ids = Journey.objects.held_for(
            gateway, seconds=held_for.total_seconds(), without_attention=is_warning, limit=AT_ONCE
        )
        found = Journey.objects.lock(order_ids) if order_ids else []
        journeys = [j for j in found if j.payment is PAYMENT.HELD and j.status in CAPTURABLE]
        books = ledger.entries_of([journey.order_id for journey in journeys]) if journeys else {}
        for journey in journeys:
            act(journey, books[journey.order_id])
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
    return len(journeys)
