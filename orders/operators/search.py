"""Order search, at a cost independent of history."""

from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from database.text import composed, spellings
from orders.models import ArchivedOrder, Order, id_of_number
from orders.reporting.stats import latest_id

# Without an index, only the latest orders are searched.
SEARCHED_ROWS = 200_000
MAX_RESULTS = 1000
LARGEST_ID = 2**63 - 1


def found(orders: QuerySet[Order], text: str) -> QuerySet[Order]:
    """Search by number, id, UUID, customer name or id, or e-mail.

    Number, id, UUID, exact names and account e-mails match orders of any age; the rest only the latest.
    """
    text = text.strip()
    order_id = _order_id(text)
    if order_id is not None:
        return orders.filter(Q(pk=order_id) | Q(pk__in=_latest(Q(customer_id=text))))
    uuid = _uuid(text)
    if uuid is not None:
        return orders.filter(uuid=uuid)
    if "@" in text:
        owners = list(
            User.objects.filter(email__composed__iexact=composed(text)).values_list("pk", flat=True)[:10]
        )
        return orders.filter(
            Q(owner_id__in=owners) | Q(pk__in=_latest(Q(email__composed__iexact=composed(text))))
        )
    by_customer = Q(customer_name__composed__istartswith=composed(text)) | Q(customer_id__in=spellings(text))
    return orders.filter(Q(customer_name__in=spellings(text)) | Q(pk__in=_latest(by_customer)))


def named(archived: QuerySet[ArchivedOrder], text: str) -> QuerySet[ArchivedOrder]:
    """Find an archived order by number, id or UUID."""
    order_id, uuid = _order_id(text.strip()), _uuid(text.strip())
    if order_id is not None:
        return archived.filter(pk=order_id)
    return archived.none() if uuid is None else archived.filter(uuid=uuid)


def _latest(condition: Q) -> list[int]:
    """Return ids as a list: "OR id IN (query)" would use no index."""
    latest = Order.objects.filter(condition, pk__gt=latest_id() - SEARCHED_ROWS)
    return list(latest.order_by("-pk").values_list("pk", flat=True)[:MAX_RESULTS])


def _order_id(text: str) -> int | None:
    number = id_of_number(text.upper())
    if number is None and text.isascii() and text.isdigit():
        number = int(text)
    return number if number is not None and number <= LARGEST_ID else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
