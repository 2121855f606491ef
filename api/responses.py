"""Response bodies."""

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """A response body."""


class ErrorDetail(Answer, omit_defaults=True):
    """One of several errors, with facts."""

    code: str
    message: str
    field: str = ""
    current: Decimal | UnsetType = UNSET  # of price_changed
    currency: str | UnsetType = UNSET
    available: int | UnsetType = UNSET  # of not_enough_free
    order_number: str | UnsetType = UNSET  # of reference_taken
    left: Decimal | UnsetType = UNSET  # of more_than_left: an amount or units


class ErrorFacts(Answer, omit_defaults=True):
    """An error: a stable `code`, and the path of the `field`."""

    code: str
    message: str
    field: str = ""
    details: list[ErrorDetail] = []


class Error(Answer):
    """The body of every error response."""

    error: ErrorFacts
