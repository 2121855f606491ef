"""The shop's own references: one order of an account has each. An archived order frees its reference."""

from collections.abc import Collection, Mapping

from django.db import IntegrityError

from orders.managers import REFERENCE_INDEX
from orders.models import Order


def is_taken(error: IntegrityError) -> bool:
    """Whether a statement failed because a reference is taken."""
    return REFERENCE_INDEX in str(error)


def numbers_of(references: Collection[str], *, owner_id: int) -> Mapping[str, str]:
    """Return the numbers of the owner's orders by reference, without a query for no references."""
    if not references:
        return {}
    # The condition of the partial index.
    known = Order.objects.filter(owner_id=owner_id, external_reference__in=references).exclude(
        external_reference=""
    )
    return {order.external_reference: order.number for order in known}
