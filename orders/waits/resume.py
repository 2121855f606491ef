"""Resume of orders that wait for a provider when its breaker closes.

A missed change only costs the rest of their back-off.
"""

import logging

from orders import legs
from orders.models import Journey
from orders.waits.leg_breakers import breaker_state
from scheduling.pace import Pace

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# Orders per second, so as not to overrun a recovering provider.
RAMP = 50.0


class ProviderWatch:
    """Watches the breakers of all legs' providers."""

    def __init__(self) -> None:
        self._was_closed = dict.fromkeys(legs.PROVIDERS, True)
        self._pace = Pace(POLL_SECONDS)

    def look(self) -> None:
        """Resume the orders of each provider whose breaker has closed."""
        if not self._pace.is_due():
            return
        for provider, was_closed in self._was_closed.items():
            state = breaker_state(provider).state
            if state == "unknown":
                continue
            if state == "closed" and not was_closed:
                logger.info("%s is back: %d orders that waited are due", provider, resume_waiting(provider))
            self._was_closed[provider] = state == "closed"


def resume_waiting(provider: str) -> int:
    """Make the orders due that wait for a provider, oldest first. Return how many."""
    return Journey.objects.resume_waiting(legs.waits_for_provider(provider), per_second=RAMP)
