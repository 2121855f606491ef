"""How a new order is paid, in requests: the token, the gateway, and when it is captured."""

from collections.abc import Iterator
from typing import Annotated, Literal

from django.conf import settings
from msgspec import Meta

from api.complaints import explain_pattern
from api.requests import Body
from payments.gateways import gateway, names_in_use

Token = Annotated[
    str,
    Meta(
        pattern=explain_pattern(r"^[!-~]{1,255}$", "This is no token of the shop's payment provider."),
        description="A token of the payment provider, never a card number.",
        examples=["tok_visa"],
    ),
]
Capture = Annotated[
    Literal["now", "later"],
    Meta(
        description="`later`: confirmed once its payment is authorized, and captured by staff, in parts. Needs"
        " `price_order`, and a gateway with several captures."
    ),
]


class PaymentMeans(Body):
    """What to charge: a token of the payment provider, never a card number."""

    token: Token | None = None
    gateway: (
        Annotated[str, Meta(min_length=1, max_length=40, description="By default the shop's.")] | None
    ) = None

    def complaints(self) -> Iterator[str]:
        """Yield an unknown gateway, a missing or impossible token."""
        if self.gateway is not None and self.gateway not in names_in_use():
            yield "unknown payment gateway"
            return
        chosen = gateway(self.gateway or "")
        if self.token is None and chosen.capabilities.needs_token and not settings.DEFAULT_PAYMENT_TOKEN:
            yield "missing token"
        if self.token is not None and chosen.check_token(self.token):
            yield "impossible payment token"


def impossible_capture(payment: PaymentMeans | None, capture: str | None) -> Iterator[str]:
    """Yield that the gateway captures once and in full only."""
    name = (payment and payment.gateway) or ""
    if capture != "later" or (name and name not in names_in_use()):
        return
    can = gateway(name).capabilities
    if not (can.partial_capture and can.several_captures):
        yield "unsupported capture"


def gateway_name(payment: PaymentMeans | None, capture: str | None) -> str:
    """Return the gateway to store; empty for the default, but where it was checked what it can do."""
    return (payment and payment.gateway) or (settings.PAYMENT_GATEWAY if capture == "later" else "")
