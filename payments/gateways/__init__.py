"""The way to the payment provider that the settings choose."""

from django.conf import settings

from payments.gateways.http import HttpGateway
from payments.gateways.in_process import InProcessGateway
from payments.gateways.protocol import LedgerLine, Outcome, PaymentGateway, Talk

__all__ = ["LedgerLine", "Outcome", "PaymentGateway", "Talk", "gateway"]

_GATEWAYS: dict[str, PaymentGateway] = {"http": HttpGateway(), "in_process": InProcessGateway()}


def gateway() -> PaymentGateway:
    """The gateway named by settings.PAYMENT_GATEWAY."""
    return _GATEWAYS[settings.PAYMENT_GATEWAY]
