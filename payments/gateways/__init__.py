"""The payment gateways by name: built in, from the settings, or from entry points of installed packages."""

import functools
from importlib.metadata import entry_points

from django.conf import settings
from django.utils.module_loading import import_string

from payments.gateways.protocol import LedgerLine, Outcome, PaymentGateway, Talk

__all__ = ["GatewayUnknown", "LedgerLine", "Outcome", "PaymentGateway", "Talk", "gateway", "names_in_use"]

BUILT_IN = {
    "http": "payments.gateways.http.HttpGateway",
    "manual": "payments.gateways.manual.ManualGateway",
    "in_process": "payments.gateways.in_process.InProcessGateway",
    "stripe": "payments.gateways.stripe.gateway.StripeGateway",
}
ENTRY_POINTS = "order_pipeline.payment_gateways"


class GatewayUnknown(Exception):
    """No gateway has this name, or it cannot be loaded."""


def gateway(name: str = "") -> PaymentGateway:
    """Return a gateway; by default the one of settings.PAYMENT_GATEWAY. Raises GatewayUnknown."""
    name = name or settings.PAYMENT_GATEWAY
    return _load(name, settings.PAYMENT_GATEWAYS.get(name) or BUILT_IN.get(name, ""))


def names_in_use() -> list[str]:
    """Return the names of the default gateway and of those in settings.PAYMENT_GATEWAYS."""
    return [*dict.fromkeys([settings.PAYMENT_GATEWAY, *settings.PAYMENT_GATEWAYS])]


@functools.lru_cache(maxsize=32)
def _load(name: str, path: str) -> PaymentGateway:
    try:
        made = import_string(path)() if path else _from_entry_point(name)
    except ImportError as error:
        raise GatewayUnknown(f"The payment gateway {name} cannot be imported: {error}.") from error
    found: PaymentGateway = made
    return found


def _from_entry_point(name: str) -> PaymentGateway:
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        found: PaymentGateway = entry.load()()
        return found
    raise GatewayUnknown(f"There is no payment gateway {name}: see docs/extending/payment-gateway.md.")
