"""WebSockets, mails and webhooks."""

from django.core.exceptions import ImproperlyConfigured

from config.environment import env, number, whole

# Open sockets, per process; the shared demo customer counts as staff.
LIVE_SOCKETS_PER_CUSTOMER = whole("LIVE_SOCKETS_PER_CUSTOMER", default=50, at_least=1)
LIVE_SOCKETS_PER_STAFF = whole("LIVE_SOCKETS_PER_STAFF", default=5000, at_least=1)
# A client further behind is disconnected and resumes with `after`.
LIVE_QUEUE_LIMIT = whole("LIVE_QUEUE_LIMIT", default=3000, at_least=100)
# Revalidation of each socket's login.
LIVE_LOGIN_CHECK_INTERVAL = number("LIVE_LOGIN_CHECK_INTERVAL", default=60, at_least=0.05)
TRACK_LINK_DAYS = number("TRACK_LINK_DAYS", default=180, at_least=0.01)
ORDER_TICKET_HOURS = number("ORDER_TICKET_HOURS", default=24, at_least=0.01)
# Retention of notifications and webhook deliveries.
NOTIFICATION_DAYS = number("NOTIFICATION_DAYS", default=180, at_least=1)
DELIVERY_DAYS = number("DELIVERY_DAYS", default=30, at_least=1)
# A receipt is sent then, unless a later mail of the order comes first …
RECEIPT_DELAY_SECONDS = number("RECEIPT_DELAY_SECONDS", default=30, at_least=0)
# … and to new addresses only if the accounts vouch for them.
RECEIPTS_TO_NEW_ADDRESSES = env.bool("RECEIPTS_TO_NEW_ADDRESSES", default=False)
EMAIL_ATTEMPTS = whole("EMAIL_ATTEMPTS", default=20, at_least=1)
# Excess e-mails are dropped; 0: no limit.
MAILS_PER_RECIPIENT_PER_HOUR = whole("MAILS_PER_RECIPIENT_PER_HOUR", default=30, at_least=0)
MAILS_PER_ACCOUNT_PER_HOUR = whole("MAILS_PER_ACCOUNT_PER_HOUR", default=1000, at_least=0)

# With backoff, some four hours.
WEBHOOK_ATTEMPTS = whole("WEBHOOK_ATTEMPTS", default=15, at_least=1)
WEBHOOK_CONCURRENCY = whole("WEBHOOK_CONCURRENCY", default=16, at_least=1)
WEBHOOK_CALLS_PER_SUBSCRIPTION = whole("WEBHOOK_CALLS_PER_SUBSCRIPTION", default=4, at_least=1)
WEBHOOK_TIMEOUT_SECONDS = number("WEBHOOK_TIMEOUT_SECONDS", default=5, at_least=0.1)
if WEBHOOK_TIMEOUT_SECONDS > 30:
    raise ImproperlyConfigured("WEBHOOK_TIMEOUT_SECONDS must be at most 30: a lease must outlive a call.")
WEBHOOK_SWITCH_OFF_HOURS = number("WEBHOOK_SWITCH_OFF_HOURS", default=24, at_least=0)
# For local tests.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)
