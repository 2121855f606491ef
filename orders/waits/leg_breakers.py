"""The circuit breakers of legs' providers."""

from orders.legs import PAYMENT
from payments.gateways import gateway
from providers.breaker import BreakerState, breaker


def breaker_state(provider: str) -> BreakerState:
    """Return the state of the breaker of a provider that a leg declares. The gateway names the payment's."""
    return breaker(gateway().provider if provider == PAYMENT.provider else provider).state()
