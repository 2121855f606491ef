"""The payment gateway selected by the settings."""

from django.conf import settings

from payments.gateways.http import HttpGateway
from payments.gateways.in_process import InProcessGateway
from payments.gateways.protocol import LedgerLine, Outcome, PaymentGateway, Talk

__all__ = ["LedgerLine", "Outcome", "PaymentGateway", "Talk", "gateway"]

_GATEWAYS: dict[str, PaymentGateway] = {"http": HttpGateway(), "in_process": InProcessGateway()}


def gateway() -> PaymentGateway:
    """Return the gateway named by settings.PAYMENT_GATEWAY."""
    return _GATEWAYS[settings.PAYMENT_GATEWAY]
