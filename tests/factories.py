"""Things that tests need: plain functions that write what a test wants to have, and nothing else."""

from decimal import Decimal
from itertools import count
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission, User

from accounts import tokens
from inventory.models import Product, StockItem
from orders.models import Order
from orders.placing.pricing import NewOrder, WantedLine
from orders.placing.single import Placed, place_order
from payments.models import Transaction, idempotency_key, number_of, rank_of
from scheduling.slots import database_now
from shipping.models import Rate, Zone, ZoneCountry
from shipping.quotes import forget_price_lists

_numbers = count(1)


# What staff may see: `is_staff` alone opens the desk and nothing in it.
STAFF_SEES = ("view_order", "view_product", "view_stockitem")


def make_user(username: str = "", *, is_staff: bool = False) -> User:
    """Return a new user with the given name, or a unique one. Staff may see orders and products."""
    user = User.objects.create_user(
        username=username or f"user-{next(_numbers)}", password="a long password", is_staff=is_staff
    )
    if is_staff:
        user.user_permissions.set(Permission.objects.filter(codename__in=STAFF_SEES))
    return user


def make_token(user: User) -> str:
    """Return a new API token of a user's."""
    return tokens.issue(user, expires_at=None)[1]


def make_product(
    name: str = "", *, price: str = "10.00", units: int = 100, weight_grams: int = 100, active: bool = True
) -> Product:
    """Return a new product with that many units on hand."""
    number = next(_numbers)
    product = Product.objects.create(
        sku=f"SKU-{number}",
        name=name or f"Thing {number}",
        price=Decimal(price),
        weight_grams=weight_grams,
        active=active,
    )
    StockItem.objects.create(product=product, on_hand=units)
    return product


def make_shipping(*, country: str = "US", price: str = "5.00", max_weight_grams: int = 30_000) -> None:
    """Have the shop deliver to a country at one price."""
    zone = Zone.objects.create(name=f"Zone of {country}")
    ZoneCountry.objects.create(country=country, zone=zone)
    Rate.objects.create(zone=zone, max_weight_grams=max_weight_grams, price=Decimal(price))
    forget_price_lists()


def make_transaction(order: Order | Placed, kind: str, *, amount: str = "15.00", **more: Any) -> Transaction:
    """Write down that the payment provider was asked for something, a moment ago unless more is said."""
    facts = {"started_at": database_now(), "currency": "USD", "gateway": settings.PAYMENT_GATEWAY}
    wanted = facts | {"number": number_of(kind)} | more
    wanted.setdefault(
        "key", idempotency_key(reference=str(order.uuid), kind=kind, rank=rank_of(wanted["number"]))
    )
    order_id = order.order_id if isinstance(order, Placed) else order.pk
    return Transaction.objects.create(
        order_id=order_id, kind=kind, reference=order.uuid, amount=Decimal(amount), **wanted
    )


def make_order(
    *lines: tuple[Product, int],
    owner: User | None = None,
    country: str = "US",
    token: str = "tok_demo",
    hold: bool = False,
    customer_name: str = "Alice",
    capture_later: bool = False,
) -> Placed:
    """Place an order for so many units of each product."""
    return place_order(
        new=NewOrder(
            owner_id=(owner or make_user()).pk,
            customer_name=customer_name,
            lines=[WantedLine(quantity=quantity, product_id=product.pk) for product, quantity in lines],
            currency="USD",
            country=country,
            payment_token=token,
            hold=hold,
            capture_later=capture_later,
        )
    )
