from django.core.exceptions import ImproperlyConfigured

from config.environment import email_backend, env, number, pairs, rates, whole
from config.settings.base import DEBUG
from orders import legs

SANDBOX_PORT = whole("SANDBOX_PORT", default=8003, at_least=1)
SANDBOX_URL = env.str("SANDBOX_URL", default=f"http://127.0.0.1:{SANDBOX_PORT}").rstrip("/")
# Empty values, as in .env.example, count as unset.
PAYMENT_API_URL = (env.str("PAYMENT_API_URL", default="") or f"{SANDBOX_URL}/payments").rstrip("/")
INVENTORY_API_URL = (env.str("INVENTORY_API_URL", default="") or f"{SANDBOX_URL}/inventory").rstrip("/")
_MAIL_BACKEND = email_backend()
MAIL_BY_API = not _MAIL_BACKEND
globals().update(_MAIL_BACKEND)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="")
if _MAIL_BACKEND and "@" not in DEFAULT_FROM_EMAIL:
    raise ImproperlyConfigured("DEFAULT_FROM_EMAIL must be the address that mails come from.")
EMAIL_SERVICE_URL = (env.str("EMAIL_SERVICE_URL", default="") or f"{SANDBOX_URL}/email").rstrip("/")
# More by name: "stripe,acme=shop.payments.AcmeGateway", for open orders and refunds after a change.
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="http")
PAYMENT_GATEWAYS = pairs("PAYMENT_GATEWAYS")
_GATEWAYS = {PAYMENT_GATEWAY, *PAYMENT_GATEWAYS}
# How long the gateway "manual" waits for a payment.
MANUAL_PAYMENT_DAYS = number("MANUAL_PAYMENT_DAYS", default=14, at_least=0.01)
# How long the provider of the gateway "http" holds an authorization; 0: until it is captured or voided.
PAYMENT_AUTHORIZATION_DAYS = number("PAYMENT_AUTHORIZATION_DAYS", default=0, at_least=0)
# How long before it expires an order that staff capture needs attention; 0: not before.
AUTHORIZATION_ALERT_HOURS = number("AUTHORIZATION_ALERT_HOURS", default=24, at_least=0)
PAYMENT_API_KEY = env.str("PAYMENT_API_KEY", default="")
STRIPE_API_URL = (env.str("STRIPE_API_URL", default="") or "https://api.stripe.com").rstrip("/")
STRIPE_API_KEY = env.str("STRIPE_API_KEY", default="")
STRIPE_RETURN_URL = env.str("STRIPE_RETURN_URL", default="")
STRIPE_PAYMENT_METHOD_TYPES = env.list("STRIPE_PAYMENT_METHOD_TYPES", default=["card"])
# Two during a rotation; none: payment webhooks are refused.
PAYMENT_WEBHOOK_SECRETS = env.list("PAYMENT_WEBHOOK_SECRETS", default=[])
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", default=[])
for _name, _secrets in (
    ("PAYMENT_WEBHOOK_SECRETS", PAYMENT_WEBHOOK_SECRETS),
    ("STRIPE_WEBHOOK_SECRETS", STRIPE_WEBHOOK_SECRETS),
):
    if any(len(secret) < 16 for secret in _secrets):
        raise ImproperlyConfigured(f"Each of {_name} must have at least 16 characters.")

PROVIDERS = {"inventory": INVENTORY_API_URL} | ({"email": EMAIL_SERVICE_URL} if MAIL_BY_API else {})
PROVIDER_HEADERS: dict[str, dict[str, str]] = {}
PROVIDER_HEALTH_PATHS: dict[str, str] = {}
if _GATEWAYS & {"http", "in_process"}:
    PROVIDERS = {"payments": PAYMENT_API_URL} | PROVIDERS
    if PAYMENT_API_KEY:
        PROVIDER_HEADERS["payments"] = {"Authorization": f"Bearer {PAYMENT_API_KEY}"}
if "stripe" in _GATEWAYS:
    if not STRIPE_API_KEY:
        raise ImproperlyConfigured("The gateway stripe needs STRIPE_API_KEY, a secret or restricted key.")
    PROVIDERS["stripe"] = STRIPE_API_URL
    PROVIDER_HEADERS["stripe"] = {"Authorization": f"Bearer {STRIPE_API_KEY}"}
    PROVIDER_HEALTH_PATHS["stripe"] = "/v1/balance"
# Of other packages' gateways: "acme=https://api.acme.example".
PROVIDERS |= {name: url.rstrip("/") for name, url in pairs("PAYMENT_PROVIDERS").items()}
# Of a further leg: FRAUD_API_URL, if it declares `provider = "fraud"`.
_OF_LEGS = {
    f"{leg.provider.upper()}_API_URL": leg.provider
    for leg in legs.LEGS
    if leg.provider and leg is not legs.PAYMENT and leg.provider not in PROVIDERS
}
PROVIDERS |= {
    name: (env.str(variable, default="") or f"{SANDBOX_URL}/{name}").rstrip("/")
    for variable, name in _OF_LEGS.items()
}
# The sandbox accepts every payment and sends no mail.
ALLOW_SANDBOX = DEBUG or env.bool("ALLOW_SANDBOX", default=False)
_ADDRESSES = {
    "PAYMENT_API_URL": PROVIDERS.get("payments", ""),
    "INVENTORY_API_URL": INVENTORY_API_URL,
    "EMAIL_SERVICE_URL": PROVIDERS.get("email", ""),
    "STRIPE_API_URL": PROVIDERS.get("stripe", ""),
    **{variable: PROVIDERS[name] for variable, name in _OF_LEGS.items()},
}
_PLAYED = [name for name, address in _ADDRESSES.items() if address.startswith(SANDBOX_URL)]
if "in_process" in _GATEWAYS:
    _PLAYED.append("PAYMENT_GATEWAY")
# Links for new passwords go to real mailboxes only.
PASSWORD_RESET, PASSWORD_RESET_TIMEOUT = "EMAIL_SERVICE_URL" not in _PLAYED, 3600
if _PLAYED and not ALLOW_SANDBOX:
    raise ImproperlyConfigured(
        f"{', '.join(_PLAYED)} lead to the sandbox, which moves no money, no goods and no mail: name your"
        " providers, or allow it with ALLOW_SANDBOX=1."
    )
_HAS_DEMO_TOKEN = DEBUG and PAYMENT_GATEWAY in ("http", "in_process")
DEFAULT_PAYMENT_TOKEN = env.str("DEFAULT_PAYMENT_TOKEN", default="tok_demo" if _HAS_DEMO_TOKEN else "")
if DEFAULT_PAYMENT_TOKEN and not ALLOW_SANDBOX:
    raise ImproperlyConfigured("DEFAULT_PAYMENT_TOKEN is for the sandbox only; it needs ALLOW_SANDBOX=1.")
EXTERNAL_TIMEOUT_SECONDS = number("EXTERNAL_TIMEOUT_SECONDS", default=10, at_least=0.05)
# Download of the provider's ledger; the audit times out 60 s later.
LEDGER_TIMEOUT_SECONDS = number("LEDGER_TIMEOUT_SECONDS", default=240, at_least=1)
EXTERNAL_RETRY_ATTEMPTS = whole("EXTERNAL_RETRY_ATTEMPTS", default=3, at_least=1)
PROVIDER_CONCURRENCY = whole("PROVIDER_CONCURRENCY", default=16, at_least=1)
# Upper bound of the adaptive window, per process and provider.
PROVIDER_CALLS_IN_FLIGHT = whole("PROVIDER_CALLS_IN_FLIGHT", default=4000, at_least=1)
# Calls per second across all processes: "payments=100,email=5".
PROVIDER_RATE_LIMITS = rates("PROVIDER_RATE_LIMITS")
# 0: threads call and the batch waits.
PROVIDER_HANDOVER = env.bool("PROVIDER_HANDOVER", default=True)
HEALTH_CHECK_INTERVAL = number("HEALTH_CHECK_INTERVAL", default=60, at_least=1)
INVENTORY_SYNC_INTERVAL = number("INVENTORY_SYNC_INTERVAL", default=300, at_least=1)
AUDIT_INTERVAL = number("AUDIT_INTERVAL", default=600, at_least=1)

# Seconds; 0: none. Opt-in with a real provider.
_IS_PLAY_MONEY = PAYMENT_GATEWAY == "in_process" or (
    PAYMENT_GATEWAY == "http" and "PAYMENT_API_URL" in _PLAYED
)
CANARY_INTERVAL = number("CANARY_INTERVAL", default=60 if _IS_PLAY_MONEY else 0, at_least=0)
CANARY_PAYMENT_TOKEN = env.str("CANARY_PAYMENT_TOKEN", default="tok_demo")
