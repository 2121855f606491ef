"""Order search, at a cost independent of history."""

import re
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from database.text import composed, spellings
from inventory.models import Product
from orders.models import ArchivedOrder, Order, OrderLine, id_of_number
from orders.reporting.stats import latest_id
from payments.models import Transaction

# Without an index, only the latest orders are searched.
SEARCHED_ROWS = 200_000
MAX_RESULTS = 1000
LARGEST_ID = 2**63 - 1

HASH = re.compile(r"#\s*(\d{1,19})", re.ASCII)
PART_OF_NUMBER = re.compile(r"ORD-[\d-]*|0\d+|\d{8,14}(-\d*)?|-\d+", re.ASCII)
NUMBER_SQL = (
    "'ORD-' || to_char(orders_order.placed_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS') || '-'"
    " || lpad(orders_order.id::text, greatest(4, length(orders_order.id::text)), '0') LIKE %s"
)
# Providers' ids have a digit or a separator, and no blanks.
PROVIDER_ID = re.compile(r"(?=.*[\d_-])[\w.-]{6,64}", re.ASCII)


def found(orders: QuerySet[Order], text: str) -> QuerySet[Order]:
    """Search by number or a part of it, id, UUID, reference, customer, e-mail, post code, SKU or provider id.

    Number, id, UUID, exact references and names, and account e-mails match orders of any age; the rest only the
    latest. Text is compared in one Unicode normal form, without regard to case.
    """
    text = text.strip()
    if hashed := HASH.fullmatch(text):
        return orders.filter(pk=min(int(hashed[1]), LARGEST_ID))
    order_id, uuid = _order_id(text), _uuid(text)
    if uuid is not None:
        return orders.filter(uuid=uuid)
    if order_id is not None and id_of_number(text.upper()) is not None:
        return orders.filter(pk=order_id)
    if "@" in text:
        return orders.filter(Q(owner_id__in=_accounts(text)) | Q(pk__in=_latest(_email(text))))
    exact = Q(pk=order_id) if order_id is not None else Q(customer_name__in=spellings(text))
    ids = _latest(_customer(text)) + _with_sku(text) + _with_provider_id(text) + _with_number(text)
    return orders.filter(exact | Q(pk__in=ids + _with_reference(text)))


def named(archived: QuerySet[ArchivedOrder], text: str) -> QuerySet[ArchivedOrder]:
    text = text.strip()
    hashed = HASH.fullmatch(text)
    order_id, uuid = _order_id(hashed[1] if hashed else text), _uuid(text)
    if order_id is not None:
        return archived.filter(pk=order_id)
    return archived.none() if uuid is None else archived.filter(uuid=uuid)


# --- Conditions -------------------------------------------------------------------------------------------


def _customer(text: str) -> Q:
    name = composed(text)
    return (
        Q(customer_name__composed__iregex=rf"(^|[ -]){re.escape(name)}")
        | Q(customer_id__in=spellings(text))
        | Q(email__istartswith=f"{name}@")
        | Q(shipping_address__postalCode__iexact=text)
    )


def _email(text: str) -> Q:
    """Match an address, or its beginning up to the @ or further: `kay@` finds kay@example.com."""
    return Q(email__composed__istartswith=composed(text))


def _accounts(text: str) -> list[int]:
    return list(User.objects.filter(email__composed__iexact=composed(text)).values_list("pk", flat=True)[:10])


def _with_sku(text: str) -> list[int]:
    products = list(Product.objects.filter(sku__iexact=composed(text)).values_list("pk", flat=True)[:10])
    if not products:
        return []
    lines = OrderLine.objects.filter(product_id__in=products, order_id__gt=_first_searched())
    return list(lines.order_by("-order_id").values_list("order_id", flat=True).distinct()[:MAX_RESULTS])


def _with_provider_id(text: str) -> list[int]:
    if not PROVIDER_ID.fullmatch(text):
        return []
    calls = Transaction.objects.filter(provider_id=text, order_id__gt=_first_searched())
    return list(calls.values_list("order_id", flat=True)[:MAX_RESULTS])


def _with_reference(text: str) -> list[int]:
    # The index begins with the reference; the condition is its own.
    known = Order.objects.filter(external_reference=text).exclude(external_reference="")
    return list(known.order_by("-pk").values_list("pk", flat=True)[:MAX_RESULTS])


def _with_number(text: str) -> list[int]:
    text = text.upper()
    if not PART_OF_NUMBER.fullmatch(text):
        return []
    latest = Order.objects.filter(pk__gt=_first_searched())
    latest = latest.extra(where=[NUMBER_SQL], params=[f"%{text}%"])  # noqa: S610 - constant # nosec B610
    return list(latest.order_by("-pk").values_list("pk", flat=True)[:MAX_RESULTS])


def _latest(condition: Q) -> list[int]:
    """Return ids as a list: "OR id IN (query)" would use no index."""
    latest = Order.objects.filter(condition, pk__gt=_first_searched())
    return list(latest.order_by("-pk").values_list("pk", flat=True)[:MAX_RESULTS])


def _first_searched() -> int:
    return latest_id() - SEARCHED_ROWS


def _order_id(text: str) -> int | None:
    number = id_of_number(text.upper())
    if number is None and text.isascii() and text.isdigit():
        number = int(text[:20])
    return number if number is not None and number <= LARGEST_ID else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
