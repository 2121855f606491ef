"""The pipeline: batches, limits and retention."""

import re

from django.core.exceptions import ImproperlyConfigured

from config.environment import env, number, whole
from iso.countries import COUNTRIES
from iso.currencies import DECIMALS

CURRENCY = env.str("CURRENCY", default="USD")
if CURRENCY not in DECIMALS:
    raise ImproperlyConfigured(f"CURRENCY must be an ISO 4217 code such as USD, not {CURRENCY!r}.")
DEFAULT_COUNTRY = env.str("DEFAULT_COUNTRY", default="US")
if DEFAULT_COUNTRY not in COUNTRIES:
    raise ImproperlyConfigured(
        f"DEFAULT_COUNTRY must be an ISO 3166 code such as US, not {DEFAULT_COUNTRY!r}."
    )
BATCH_SIZE = whole("BATCH_SIZE", default=2000, at_least=1)
MAX_CONCURRENT_BATCHES = whole("MAX_CONCURRENT_BATCHES", default=3, at_least=1)
MAX_CONCURRENT_ORDERS = whole("MAX_CONCURRENT_ORDERS", default=6000, at_least=1)
LEASE_SECONDS = number("LEASE_SECONDS", default=8, at_least=1)
# The dispatcher's poll interval when no NOTIFY arrives.
ORDER_PROCESSING_INTERVAL = number("ORDER_PROCESSING_INTERVAL", default=1, at_least=0.05)
STRAGGLER_PATIENCE_SECONDS = number("STRAGGLER_PATIENCE_SECONDS", default=2, at_least=0.1)
# Consecutive worker crashes before an order is escalated.
MAX_ATTEMPTS = whole("MAX_ATTEMPTS", default=5, at_least=1)
# 0: rejected at once.
STOCK_WAIT_SECONDS = number("STOCK_WAIT_SECONDS", default=90, at_least=0)
# Declines count only while fewer than half of an account's latest orders were paid …
DECLINES_PER_ACCOUNT = env.str("DECLINES_PER_ACCOUNT", default="60/h")
if not re.fullmatch(r"off|[1-9][0-9]*/[smhd][a-z]*", DECLINES_PER_ACCOUNT):
    raise ImproperlyConfigured(
        f'DECLINES_PER_ACCOUNT must be like "60/h", or off, not {DECLINES_PER_ACCOUNT!r}.'
    )
# … and meanwhile its unpaid orders and units are limited.
UNPAID_ORDERS_PER_ACCOUNT = whole("UNPAID_ORDERS_PER_ACCOUNT", default=20, at_least=1)
UNPAID_UNITS_PER_ACCOUNT = whole("UNPAID_UNITS_PER_ACCOUNT", default=200, at_least=1)
# Held orders are cancelled after HELD_ORDER_DAYS; 0: never.
HELD_ORDERS_PER_ACCOUNT = whole("HELD_ORDERS_PER_ACCOUNT", default=1000, at_least=1)
HELD_ORDER_DAYS = number("HELD_ORDER_DAYS", default=30, at_least=0)
BULK_MAX_WAITING = whole("BULK_MAX_WAITING", default=1_000_000, at_least=1)
# Per 4 KB, each with at least BULK_SLOW_SECONDS; 0: off.
BULK_MIN_BYTES_PER_SECOND = number("BULK_MIN_BYTES_PER_SECOND", default=100, at_least=0)
BULK_SLOW_SECONDS = number("BULK_SLOW_SECONDS", default=30, at_least=0.1)
# Above this, reading the request pauses.
BULK_UNREAD_MEGABYTES = whole("BULK_UNREAD_MEGABYTES", default=128, at_least=1)
IDEMPOTENCY_KEY_DAYS = number("IDEMPOTENCY_KEY_DAYS", default=3, at_least=1)
# 0: no automatic archiving.
ARCHIVE_AFTER_MONTHS = whole("ARCHIVE_AFTER_MONTHS", default=0, at_least=0)
