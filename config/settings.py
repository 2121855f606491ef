"""All settings, validated at import.

Values come from the environment, then from `.data/env`, which `make run` writes, so that `manage.py` reaches the same
engines as the running stack.
"""

import re
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
import structlog
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from config.environment import (
    database_url,
    env,
    networks,
    number,
    rates,
    read_secret_files,
    redis_url,
    weakness_of_key,
    whole,
)
from config.logs import WithoutSecrets, without_probes
from iso.countries import COUNTRIES
from iso.currencies import DECIMALS
from orders import legs

BASE_DIR = Path(__file__).resolve().parent.parent

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data")))
read_secret_files()
environ.Env.read_env(DATA_DIR / "env")  # never overrides the environment; may be missing

# --- Mode -------------------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
# Anonymous requests act as the demo customer.
DEMO = env.bool("DEMO", default=False)
if DEMO and not DEBUG:
    raise ImproperlyConfigured(
        "DEMO=1 lets anybody place orders without a login; it is refused unless DEBUG=1."
    )

# Fault injection for tests: see faults/ and tests/planted/.
PLANTED_FAULT = env.str("PLANTED_FAULT", default="")
if not DEBUG and (PLANTED_FAULT or env.str("FAULTS", default="")):
    raise ImproperlyConfigured("FAULTS and PLANTED_FAULT inject faults; refused unless DEBUG=1.")

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. `make run` generates one; set your own anywhere else.")
if not DEBUG and (weakness := weakness_of_key(SECRET_KEY)):
    raise ImproperlyConfigured(
        f"SECRET_KEY {weakness}: it must not be guessable. Generate one with"
        " python3 -c 'import secrets; print(secrets.token_urlsafe(50))'."
    )

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
if not DEBUG and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS=* accepts any Host header; name your hosts, with commas between."
    )
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en-us"
USE_I18N = False
# A language's own formats win over DATE_FORMAT and DATETIME_FORMAT.
FORMAT_MODULE_PATH = "config.formats"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # a redirect would turn a POST into a GET

INSTALLED_APPS = [
    "config.apps.DeskConfig",  # django.contrib.admin with our pages
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "django_celery_beat",
    "django_structlog",
    "api",
    "scheduling",
    "limits",
    "accounts",
    "providers",
    "inventory",
    "payments",
    "shipping",
    "orders",
    "notifications",
    "live",
    "board",
    "desk",
    "config",
]

MIDDLEWARE = [
    "config.middleware.Measured",
    "config.admission.Admitted",
    "config.middleware.NotCached",
    "config.bodies.ReadsBodies",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.WithoutSession",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "config.origins.RefusesForeignPages",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.middleware.MessagesOfPages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.Logged",
    "config.middleware.ContentPolicy",
    "config.middleware.RefusesCardNumbers",
    "config.failover.AwaitsLeader",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "config.static_files.HashedModulesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- Nodes ------------------------------------------------------------------------------------------------

# cluster: a Valkey per machine. distributed: one Valkey for all machines.
DEPLOYMENT_MODE = env.str("DEPLOYMENT_MODE", default="standalone")
if DEPLOYMENT_MODE not in ("standalone", "distributed", "cluster"):
    raise ImproperlyConfigured(
        f"DEPLOYMENT_MODE must be standalone, distributed or cluster, not {DEPLOYMENT_MODE!r}."
    )
# This machine's name. NODE is the setting's older name.
NODE_ID = env.str("NODE_ID", default="") or env.str("NODE", default=socket.gethostname())
NODE = NODE_ID
# The cluster's expected members.
NODES = env.list("NODES", default=[])
# Comma-separated NATS servers; empty: no stream.
NATS_URL = env.list("NATS_URL", default=[])
NATS_USER, NATS_PASSWORD = env.str("NATS_USER", default=""), env.str("NATS_PASSWORD", default="")
if DEPLOYMENT_MODE == "cluster" and not NATS_URL:
    raise ImproperlyConfigured("DEPLOYMENT_MODE=cluster needs NATS_URL, by which the nodes find each other.")
# status: only events that change an order's status. STREAM_FROM: where an empty stream starts in the journal.
STREAM_EVENTS = env.str("STREAM_EVENTS", default="all")
if STREAM_EVENTS not in ("all", "status"):
    raise ImproperlyConfigured(f"STREAM_EVENTS must be all or status, not {STREAM_EVENTS!r}.")
STREAM_FROM = env.str("STREAM_FROM", default="start")
if STREAM_FROM not in ("start", "now"):
    raise ImproperlyConfigured(f"STREAM_FROM must be start or now, not {STREAM_FROM!r}.")
STREAM_REPLICAS = whole("STREAM_REPLICAS", default=3 if DEPLOYMENT_MODE == "cluster" else 1, at_least=1)
STREAM_DAYS = number("STREAM_DAYS", default=7, at_least=0.01)
# This node's Patroni REST API; empty: none.
PATRONI_URL = env.str("PATRONI_URL", default="").rstrip("/")
# A dispatcher's limits count the batches on its own broker.
BATCH_NODE = NODE_ID if DEPLOYMENT_MODE == "cluster" else ""

# --- Engines ----------------------------------------------------------------------------------------------

COMMAND_TIMEOUT_SECONDS = number("COMMAND_TIMEOUT_SECONDS", default=5, at_least=0.1)
DATABASE_URL = database_url(env.str("DATABASE_URL"), password=env.str("DATABASE_PASSWORD", default=""))
DATABASES: dict[str, Any] = {"default": env.db_url_config(DATABASE_URL, engine="database.postgresql")}
# Statements and lock waits time out before a lease expires.
_SESSION = {
    "statement_timeout": str(int(COMMAND_TIMEOUT_SECONDS * 1000)),
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "15000",
    "jit": "off",
    # Batches read rows by key; on flash, random reads cost about as much as sequential ones.
    "random_page_cost": "1.1",
}
# PgBouncer refuses start-up options: behind it, each new connection runs SET.
DATABASE_POOLER = env.bool("DATABASE_POOLER", default=False)
DATABASES["default"] |= {
    "SESSION": _SESSION if DATABASE_POOLER else {},
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {
        "connect_timeout": 3,
        "keepalives_idle": 10,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 3000,  # ms without an acknowledgement from the peer
        **(
            {}
            if DATABASE_POOLER
            else {"options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items())}
        ),
    }
    | DATABASES["default"].get("OPTIONS", {}),
    "TEST": {"NAME": env.str("TEST_DATABASE_NAME", default=None)},
}

# How long a request waits for a new leader before it gets 503. Below the balancer's patience with a silent node.
FAILOVER_WAIT_SECONDS = number(
    "FAILOVER_WAIT_SECONDS", default=4 if "," in str(DATABASES["default"]["HOST"]) else 0, at_least=0
)

# Standbys for reports that tolerate replication lag.
if env.str("DATABASE_REPLICA_URL", default=""):
    _replica = env.db_url("DATABASE_REPLICA_URL", engine="database.postgresql")
    DATABASES["replica"] = (
        DATABASES["default"]
        | _replica
        | {
            "OPTIONS": DATABASES["default"]["OPTIONS"] | _replica.get("OPTIONS", {}),
            "TEST": {"MIRROR": "default"},
        }
    )

REDIS_URL = env.str("REDIS_URL")
_REDIS_PASSWORD = env.str("REDIS_PASSWORD", default="")
BROKER_URL, CACHE_URL, CHANNEL_LAYER_URL, RESULTS_URL = (
    redis_url(REDIS_URL, database, password=_REDIS_PASSWORD) for database in range(4)
)

CACHE_EXPIRATION_MINUTES = number("CACHE_EXPIRATION_MINUTES", default=15, at_least=0)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "TIMEOUT": CACHE_EXPIRATION_MINUTES * 60,
        "KEY_PREFIX": "cache",
        "OPTIONS": {
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
            "serializer": "database.serializer.JsonSerializer",
        },
    }
}

CHANNEL_LAYERS = {
    "default": {
        # Pub/sub survives a broker restart; clients get messages it drops from the journal.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": CHANNEL_LAYER_URL,
                    "socket_timeout": None,
                    "socket_connect_timeout": 5,
                    "health_check_interval": 30,
                }
            ],
            "prefix": "live",
        },
    }
}

# --- Orders -----------------------------------------------------------------------------------------------

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
# After this, another worker may reclaim a claimed order.
LEASE_SECONDS = number("LEASE_SECONDS", default=8, at_least=1)
# The dispatcher's poll interval when no NOTIFY arrives.
ORDER_PROCESSING_INTERVAL = number("ORDER_PROCESSING_INTERVAL", default=1, at_least=0.05)
# A step waits this long for its batch's slowest provider calls.
STRAGGLER_PATIENCE_SECONDS = number("STRAGGLER_PATIENCE_SECONDS", default=2, at_least=0.1)
# Consecutive worker crashes before an order is escalated.
MAX_ATTEMPTS = whole("MAX_ATTEMPTS", default=5, at_least=1)
# How long an order waits for units that unpaid orders have reserved; 0: rejected at once.
STOCK_WAIT_SECONDS = number("STOCK_WAIT_SECONDS", default=90, at_least=0)
# Declined payments per account before it is throttled; counted only while fewer than half of its latest orders were
# paid …
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
# Bulk intake applies backpressure above this backlog.
BULK_MAX_WAITING = whole("BULK_MAX_WAITING", default=1_000_000, at_least=1)
# A slower bulk upload is aborted, as it occupies a slot. Per 4 KB, each with at least BULK_SLOW_SECONDS; 0: off.
BULK_MIN_BYTES_PER_SECOND = number("BULK_MIN_BYTES_PER_SECOND", default=100, at_least=0)
BULK_SLOW_SECONDS = number("BULK_SLOW_SECONDS", default=30, at_least=0.1)
# Above this much unread response data, reading the request pauses.
BULK_UNREAD_MEGABYTES = whole("BULK_UNREAD_MEGABYTES", default=128, at_least=1)
IDEMPOTENCY_KEY_DAYS = number("IDEMPOTENCY_KEY_DAYS", default=3, at_least=1)
# 0: no automatic archiving.
ARCHIVE_AFTER_MONTHS = whole("ARCHIVE_AFTER_MONTHS", default=0, at_least=0)

# --- Live -------------------------------------------------------------------------------------------------

# Open sockets per account and process; the shared demo customer counts as staff.
LIVE_SOCKETS_PER_CUSTOMER = whole("LIVE_SOCKETS_PER_CUSTOMER", default=50, at_least=1)
LIVE_SOCKETS_PER_STAFF = whole("LIVE_SOCKETS_PER_STAFF", default=5000, at_least=1)
# A client further behind is disconnected and resumes with `after`.
LIVE_QUEUE_LIMIT = whole("LIVE_QUEUE_LIMIT", default=3000, at_least=100)
# Revalidation of each socket's login.
LIVE_LOGIN_CHECK_INTERVAL = number("LIVE_LOGIN_CHECK_INTERVAL", default=60, at_least=0.05)
# Retention of notifications and webhook deliveries.
NOTIFICATION_DAYS = number("NOTIFICATION_DAYS", default=180, at_least=1)
DELIVERY_DAYS = number("DELIVERY_DAYS", default=30, at_least=1)
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
# A subscription without a successful delivery for this long is disabled.
WEBHOOK_SWITCH_OFF_HOURS = number("WEBHOOK_SWITCH_OFF_HOURS", default=24, at_least=0)
# Permits private addresses and plain HTTP, for local tests.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)

# --- Providers --------------------------------------------------------------------------------------------

SANDBOX_PORT = whole("SANDBOX_PORT", default=8003, at_least=1)
SANDBOX_URL = env.str("SANDBOX_URL", default=f"http://127.0.0.1:{SANDBOX_PORT}").rstrip("/")
# Empty values, as in .env.example, count as unset.
PAYMENT_API_URL = (env.str("PAYMENT_API_URL", default="") or f"{SANDBOX_URL}/payments").rstrip("/")
INVENTORY_API_URL = (env.str("INVENTORY_API_URL", default="") or f"{SANDBOX_URL}/inventory").rstrip("/")
EMAIL_SERVICE_URL = (env.str("EMAIL_SERVICE_URL", default="") or f"{SANDBOX_URL}/email").rstrip("/")
PROVIDERS = {"payments": PAYMENT_API_URL, "inventory": INVENTORY_API_URL, "email": EMAIL_SERVICE_URL}
# Of a further leg: FRAUD_API_URL, if it declares `provider = "fraud"`.
_OF_LEGS = {
    f"{name.upper()}_API_URL": (name, env.str(f"{name.upper()}_API_URL", default=""))
    for name in legs.PROVIDERS
    if name not in PROVIDERS
}
PROVIDERS |= {name: (address or f"{SANDBOX_URL}/{name}").rstrip("/") for name, address in _OF_LEGS.values()}
# Outside DEBUG the sandbox needs an opt-in: it accepts every payment and sends no mail.
ALLOW_SANDBOX = DEBUG or env.bool("ALLOW_SANDBOX", default=False)
# Two during a rotation; none: payment webhooks are refused.
PAYMENT_WEBHOOK_SECRETS = env.list("PAYMENT_WEBHOOK_SECRETS", default=[])
if any(len(secret) < 16 for secret in PAYMENT_WEBHOOK_SECRETS):
    raise ImproperlyConfigured("Each of PAYMENT_WEBHOOK_SECRETS must have at least 16 characters.")
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="http")
if PAYMENT_GATEWAY not in ("http", "in_process"):
    raise ImproperlyConfigured(f"PAYMENT_GATEWAY must be http or in_process, not {PAYMENT_GATEWAY!r}.")
_ADDRESSES = {
    "PAYMENT_API_URL": PAYMENT_API_URL,
    "INVENTORY_API_URL": INVENTORY_API_URL,
    "EMAIL_SERVICE_URL": EMAIL_SERVICE_URL,
    **{variable: PROVIDERS[name] for variable, (name, _) in _OF_LEGS.items()},
}
_PLAYED = [name for name, address in _ADDRESSES.items() if address.startswith(SANDBOX_URL)]
if PAYMENT_GATEWAY == "in_process":
    _PLAYED.append("PAYMENT_GATEWAY")
if _PLAYED and not ALLOW_SANDBOX:
    raise ImproperlyConfigured(
        f"{', '.join(_PLAYED)} lead to the sandbox, which moves no money, no goods and no mail: name your"
        " providers, or allow it with ALLOW_SANDBOX=1."
    )
# For orders without a payment token; empty: they are refused.
DEFAULT_PAYMENT_TOKEN = env.str("DEFAULT_PAYMENT_TOKEN", default="tok_demo" if DEBUG else "")
if DEFAULT_PAYMENT_TOKEN and not ALLOW_SANDBOX:
    raise ImproperlyConfigured("DEFAULT_PAYMENT_TOKEN is for the sandbox only; it needs ALLOW_SANDBOX=1.")
EXTERNAL_TIMEOUT_SECONDS = number("EXTERNAL_TIMEOUT_SECONDS", default=10, at_least=0.05)
# Download of the provider's ledger; the audit times out 60 s later.
LEDGER_TIMEOUT_SECONDS = number("LEDGER_TIMEOUT_SECONDS", default=240, at_least=1)
EXTERNAL_RETRY_ATTEMPTS = whole("EXTERNAL_RETRY_ATTEMPTS", default=3, at_least=1)
# Thread pool for calls that do not use the event loop.
PROVIDER_CONCURRENCY = whole("PROVIDER_CONCURRENCY", default=16, at_least=1)
# Upper bound of the adaptive window, per process and provider.
PROVIDER_CALLS_IN_FLIGHT = whole("PROVIDER_CALLS_IN_FLIGHT", default=3000, at_least=1)
# Calls per second across all processes: "payments=100,email=5".
PROVIDER_RATE_LIMITS = rates("PROVIDER_RATE_LIMITS")
# 1: the event loop calls providers and batches do not wait. 0: threads call and the batch waits.
PROVIDER_HANDOVER = env.bool("PROVIDER_HANDOVER", default=True)
HEALTH_CHECK_INTERVAL = number("HEALTH_CHECK_INTERVAL", default=60, at_least=1)
INVENTORY_SYNC_INTERVAL = number("INVENTORY_SYNC_INTERVAL", default=300, at_least=1)
AUDIT_INTERVAL = number("AUDIT_INTERVAL", default=600, at_least=1)

# Seconds between canary orders; 0: none. Opt-in with a real payment provider, where each moves real money.
_IS_PLAY_MONEY = PAYMENT_GATEWAY == "in_process" or "PAYMENT_API_URL" in _PLAYED
CANARY_INTERVAL = number("CANARY_INTERVAL", default=60 if _IS_PLAY_MONEY else 0, at_least=0)
CANARY_PAYMENT_TOKEN = env.str("CANARY_PAYMENT_TOKEN", default="tok_demo")

# --- Celery -----------------------------------------------------------------------------------------------

QUEUES = ("orders", *legs.QUEUES, "notifications")

CELERY_BROKER_URL = BROKER_URL
CELERY_RESULT_BACKEND = f"config.celery_ext.chord_results:Joins+{RESULTS_URL}"
CELERY_TASK_QUEUES = [Queue(name) for name in QUEUES]
CELERY_TASK_DEFAULT_QUEUE = "orders"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {f"{name}.*": {"queue": name} for name in QUEUES} | {
    "providers.*": {"queue": "notifications"},
    # Off the inventory queue: a slow warehouse must not delay reservations.
    "inventory.sync_stock": {"queue": "notifications"},
    # Long tasks stay off the orders queue.
    "orders.audit": {"queue": "notifications"},
    "orders.clean": {"queue": "notifications"},
    "orders.archive": {"queue": "notifications"},
    "orders.canary": {"queue": "notifications"},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
# A lost child requeues its message; after a lost worker or message, the order's due time triggers the retry.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 50
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = timedelta(minutes=10)
CELERY_WORKER_POOL = "config.celery_ext.prefork_pool:TaskPool"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 20_000
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_CONSUMER = "config.celery_ext.event_batching:Consumer"
CELERY_IMPORTS = ["monitoring.workers"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 5
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "priority_steps": [0],  # one list per queue to poll
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_REDIS_SOCKET_TIMEOUT = 5
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 2
# Reuse the database connection across tasks.
CELERY_DB_REUSE_MAX = 500
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.celery_ext.beat_scheduler:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "inventory sync": {"task": "inventory.sync_stock", "schedule": INVENTORY_SYNC_INTERVAL},
    "provider health": {"task": "providers.check_health", "schedule": HEALTH_CHECK_INTERVAL},
    "audit": {"task": "orders.audit", "schedule": AUDIT_INTERVAL},
    "cleaning": {"task": "orders.clean", "schedule": 3600.0},
    "cleaning of notifications": {"task": "notifications.clean", "schedule": 3600.0},
    "beat tick": {"task": "orders.tick", "schedule": 10.0},
    # Expired: a later tick does the same work.
    "notifications": {"task": "notifications.follow_journal", "schedule": 5.0, "options": {"expires": 10}},
}
if ARCHIVE_AFTER_MONTHS:
    CELERY_BEAT_SCHEDULE["archive"] = {"task": "orders.archive", "schedule": 300.0}
if CANARY_INTERVAL:
    CELERY_BEAT_SCHEDULE["canary"] = {
        "task": "orders.canary",
        "schedule": CANARY_INTERVAL,
        "options": {"expires": CANARY_INTERVAL},
    }

# --- API --------------------------------------------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# Per account (logins and wrong tokens: per address), with a burst of the same size; "off": no limit. A view's
# `read_cost` is what it takes from `reads`.
THROTTLE_RATES = {
    "writes": env.str("THROTTLE_WRITES", default="200/s"),
    "reads": env.str("THROTTLE_READS", default="200/s"),
    # On top of the one write per bulk request.
    "bulk_lines": env.str("THROTTLE_BULK_LINES", default="300000/minute"),
    "logins": env.str("THROTTLE_LOGINS", default="10/minute"),
    "wrong_tokens": env.str("THROTTLE_WRONG_TOKENS", default="30/minute"),
}
# Threads per web process (see the Procfile), and how many run at a time.
WEB_THREADS = whole("WEB_THREADS", default=32, at_least=1)
WEB_AT_ONCE = whole("WEB_AT_ONCE", default=8, at_least=1)
# Concurrent requests per account or anonymous address in a web process, waiting ones included.
REQUESTS_AT_ONCE = whole("REQUESTS_AT_ONCE", default=10, at_least=1)
# Tokens from a password login; those that an administrator issues may have no expiry.
API_TOKEN_DAYS = whole("API_TOKEN_DAYS", default=90, at_least=1)
CSRF_FAILURE_VIEW = "config.errors.csrf_failed"
REST_FRAMEWORK = {
    # The first one sets WWW-Authenticate on a 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "api.authentication.SessionAuthentication",
        *(["api.authentication.DemoAuthentication"] if DEMO else []),
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.Throttle"],
    # Trusted hops of X-Forwarded-For, from the right.
    "NUM_PROXIES": whole("NUM_PROXIES", default=1, at_least=0),
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.errors.handle",
    "DEFAULT_PARSER_CLASSES": ["api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "api.renderers.FastJSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.renderers.Negotiation",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Order pipeline",
    "DESCRIPTION": (
        "Orders are accepted immediately and processed asynchronously. Errors always look like "
        '`{"error": {"code": "…", "message": "…", "field": "…"}}`; codes are stable, messages are for people.\n\n'
        "What is told at the WebSockets `/ws/orders` and `/ws/orders/<order>` is described in"
        " [AsyncAPI](/api/asyncapi.yaml)."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "TAGS": [
        {"name": "orders", "description": "Placing orders, and what may be asked of them."},
        {"name": "inventory", "description": "Products and their stock."},
        {"name": "payments", "description": "What the payment provider was asked for, and tells us."},
        {"name": "shipping", "description": "Where the shop delivers to, and what that costs."},
        {"name": "notifications", "description": "Notifications of a user."},
        {"name": "board", "description": "What the live board asks for."},
        {"name": "system", "description": "How the system is."},
        {"name": "api", "description": "Finding one's way, and getting in."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.openapi.add_common_refusals",
        "api.openapi.close_requests",
    ],
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    # The default validator is a third-party server.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Monitoring -------------------------------------------------------------------------------------------

# Bearer token for /metrics and the details of /health.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# Touched while a process's loop runs, for container health checks; empty: none.
HEARTBEAT_FILE = env.str("HEARTBEAT_FILE", default="")
# The live server's internal address; browsers go through the proxy.
LIVE_HOST, LIVE_PORT = env.str("LIVE_HOST", default="127.0.0.1"), env.int("LIVE_PORT", default=8002)
LIVE_URL = env.str("LIVE_URL", default=f"http://{LIVE_HOST}:{LIVE_PORT}")
# Public address of Flower; empty: no links.
FLOWER_URL = env.str("FLOWER_URL", default="").rstrip("/")
# Our public address, for links from Flower.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
# Link template with {trace_id}; empty: no links.
TRACE_URL = env.str("TRACE_URL", default="")
if TRACE_URL and "{trace_id}" not in TRACE_URL:
    raise ImproperlyConfigured("TRACE_URL must have {trace_id} where the trace's id belongs.")

# --- Security ---------------------------------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Networks whose X-Forwarded-* our proxy trusts (Caddyfile).
TRUSTED_PROXIES = networks("TRUSTED_PROXIES")
if not DEBUG:
    HTTPS = env.bool("HTTPS", default=True)
    SECURE_SSL_REDIRECT = HTTPS
    SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$"]
    SESSION_COOKIE_SECURE = HTTPS
    CSRF_COOKIE_SECURE = HTTPS
    SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
    SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
    SECURE_HSTS_PRELOAD = HTTPS

# --- Logs -------------------------------------------------------------------------------------------------

LOG_FORMAT = env.str("LOG_FORMAT", default="console")
if LOG_FORMAT not in ("console", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be console or json, not {LOG_FORMAT!r}.")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # personal data

SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.StackInfoRenderer(),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        without_probes,
        *SHARED_PROCESSORS,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "console": {
            "()": WithoutSecrets,
            # Rich tracebacks take a second each and print variables, secrets included.
            "processor": structlog.dev.ConsoleRenderer(
                colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            ),
            "foreign_pre_chain": SHARED_PROCESSORS,
        },
        "json": {
            "()": WithoutSecrets,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": SHARED_PROCESSORS,
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # With DEBUG, Django's own handler would print every line twice.
        "django": {"handlers": [], "level": "INFO"},
        # django_structlog logs the same with the request's id.
        "django.request": {"level": "CRITICAL"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
        "flower": {"level": "ERROR"},  # logs every worker, starting ones too
        # One line per task is too much; Flower shows them.
        "django_structlog.celery": {"level": "WARNING"},
        "django_structlog.middlewares": {"level": "WARNING"},
    },
}
