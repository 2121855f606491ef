"""Demo mode: sample orders and faults of the payment provider."""

import random
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F

from inventory.models import StockItem
from orders.maintenance import canary
from orders.placing.bulk import Accepted, Entry, place_orders
from orders.placing.pricing import MAX_QUANTITY, NewOrder, WantedLine
from providers.deadline import fetch

TIMEOUT_SECONDS = 3
CUSTOMERS = (
    "Ada Byron", "Amir Haddad", "Chen Wei", "Elif Kaya", "Fatou Diop", "Grace Murray", "Hana Sato", "Ines Costa",
    "Jonas Berg", "Kofi Mensah", "Lena Vogel", "Mateo Ruiz", "Nadia Petrova", "Oskar Lind", "Priya Nair", "Tom Baker",
)  # fmt: skip
COUNTRIES = ("US", "US", "US", "CA", "DE", "FR", "GB", "JP")
# Best stocked products to order from.
PLENTIFUL = 20
ORDERS_PER_CHUNK = 100
NOWHERE = "AQ"

# Changes to an order that succeeds.
KINDS: dict[str, dict[str, Any]] = {
    "good": {},
    "out_of_stock": {},  # orders more than is available
    "declined": {"payment_token": "tok_declined"},
    "unshippable": {"country": NOWHERE},
    "held": {"hold": True},
}
# The mix of kinds, in percent.
MIXED = ["declined"] * 3 + ["unshippable"] * 2 + ["good"] * 95

# Fault scripts for the sandbox's payment provider.
TROUBLES: dict[str, dict[str, Any]] = {
    "none": {},
    "decline": {"declineTokens": ["tok_demo"]},
    "slow": {"latencyMs": 1500, "latencyJitterMs": 1500},
    "timeout": {"timeoutAfterRate": 1.0, "timeoutSeconds": 60, "operations": ["capture"]},
    "down": {"down": True},
}


class SandboxUnreachable(Exception):
    """The sandbox does not respond."""


class NothingToSell(Exception):
    """The demo catalogue is missing or sold out."""


# --- Customers --------------------------------------------------------------------------------------------


def place_demo_orders(owner: User, *, count: int, kind: str) -> list[int]:
    """Place `count` orders of a kind, or "mixed". Raises NothingToSell."""
    plentiful, scarce = _product_ids()
    placed: list[int] = []
    for start in range(0, count, ORDERS_PER_CHUNK):
        entries = [
            Entry(_new_order(owner, _kind(kind), plentiful, scarce))
            for _ in range(min(ORDERS_PER_CHUNK, count - start))
        ]
        outcomes = place_orders(entries=entries, owner_id=owner.pk)
        placed += [outcome.order_id for outcome in outcomes if isinstance(outcome, Accepted)]
    if not placed:
        raise NothingToSell
    return placed


def _product_ids() -> tuple[list[int], int]:
    items = StockItem.objects.filter(product__active=True, product__currency=settings.CURRENCY)
    items = items.exclude(product__sku=canary.SKU)
    by_units = items.order_by(F("on_hand") - F("reserved")).values_list("product_id", flat=True)
    plentiful = list(by_units.reverse()[:PLENTIFUL])
    if not plentiful:
        raise NothingToSell
    return plentiful, by_units[0]


def _kind(kind: str) -> str:
    return random.choice(MIXED) if kind == "mixed" else kind  # noqa: S311 - no secret


def _new_order(owner: User, kind: str, plentiful: Sequence[int], scarce: int) -> NewOrder:
    facts: dict[str, Any] = {
        "owner_id": owner.pk,
        "customer_name": random.choice(CUSTOMERS),  # noqa: S311
        "email": owner.email,
        "currency": settings.CURRENCY,
        "country": random.choice(COUNTRIES),  # noqa: S311
        "payment_token": "tok_demo",
        "lines": _too_much(scarce) if kind == "out_of_stock" else _some_lines(plentiful),
    }
    return NewOrder(**(facts | KINDS[kind]))


def _some_lines(product_ids: Sequence[int]) -> list[WantedLine]:
    chosen = random.sample(product_ids, k=min(len(product_ids), random.choice((1, 1, 2, 3))))  # noqa: S311
    return [WantedLine(quantity=random.choice((1, 1, 1, 2)), product_id=id_) for id_ in chosen]  # noqa: S311


def _too_much(product_id: int) -> list[WantedLine]:
    return [WantedLine(quantity=MAX_QUANTITY, product_id=product_id)]


# --- The payment provider ---------------------------------------------------------------------------------


def trouble() -> str:
    """Return the active fault, or "other". Raises SandboxUnreachable."""
    script = _call("GET", "/faults").get("payments", {})
    for name, wanted in TROUBLES.items():
        if _effective(script) == wanted:
            return name
    return "other"


def make_trouble(name: str) -> None:
    """Inject one of TROUBLES. Raises SandboxUnreachable."""
    _call("PUT", "/faults/payments", TROUBLES[name])


def _effective(script: dict[str, Any]) -> dict[str, Any]:
    """A timeout's length alone has no effect."""
    values = {name: value for name, value in script.items() if value}
    return (
        values if "timeoutAfterRate" in values else {k: v for k, v in values.items() if k != "timeoutSeconds"}
    )


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        answer = fetch(method, settings.SANDBOX_URL + path, json=body, seconds=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return dict(answer.json())
    except (OSError, ValueError) as error:
        raise SandboxUnreachable from error
