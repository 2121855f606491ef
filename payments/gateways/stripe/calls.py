"""Calls to Stripe's API: form-encoded, at the version that the official library is made for."""

from collections.abc import Mapping
from urllib.parse import urlencode

import stripe

from providers.http import Call

VERSION = {"Stripe-Version": stripe.api_version}
FORM = "application/x-www-form-urlencoded"
PAGE = 100

INTENTS, REFUNDS = "/v1/payment_intents", "/v1/refunds"


def post(path: str, fields: Mapping[str, str | int], *, key: str) -> Call:
    """Return a call that is executed once per key, for as long as Stripe remembers the key."""
    return Call("POST", path, {}, urlencode(fields).encode(), key, FORM, VERSION)


def get(path: str, **query: str | int) -> Call:
    """Return a call without side effects."""
    return Call("GET", path, query, more_headers=VERSION)


def page(path: str, *, after: str = "", **query: str | int) -> Call:
    """Return the call for a page of a list, newest first; `after` is the last id of the page before."""
    return get(path, limit=PAGE, **query, **({"starting_after": after} if after else {}))
