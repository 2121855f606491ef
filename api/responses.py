"""Bodies that go out, as structs: each is rendering and API schema in one. Names are camelCase on the wire."""

from decimal import Decimal

import msgspec
from msgspec import UNSET, UnsetType


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """A body that we send."""


class ErrorDetail(Answer, omit_defaults=True):
    """One of the things that are wrong, with the facts that help to mend it."""

    code: str
    message: str
    field: str = ""
    current: Decimal | UnsetType = UNSET  # of price_changed
    currency: str | UnsetType = UNSET
    available: int | UnsetType = UNSET  # of not_enough_free


class ErrorFacts(Answer, omit_defaults=True):
    """What is wrong. `code` is stable, `field` is the path of the field that is meant."""

    code: str
    message: str
    field: str = ""
    details: list[ErrorDetail] = []


class Error(Answer):
    """The body of every answer from 400 on."""

    error: ErrorFacts
