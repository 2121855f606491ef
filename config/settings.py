"""Every setting of the project, in one file that refuses nonsense.

Values come from the environment. What the environment does not say is read from `.data/env`, which
`make run` writes, so that `python manage.py …` beside a running stack talks to the same engines.
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

BASE_DIR = Path(__file__).resolve().parent.parent

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data")))
read_secret_files()
environ.Env.read_env(DATA_DIR / "env")  # never overrides what the environment says; a missing file is fine

# --- Mode -------------------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
# In demo mode a request without a login acts as the demo customer, so that a newcomer's first curl works.
DEMO = env.bool("DEMO", default=False)
if DEMO and not DEBUG:
    raise ImproperlyConfigured(
        "DEMO=1 lets anybody place orders without a login; it is refused unless DEBUG=1."
    )

# Trouble on purpose, for tests of what survives it: see faults/ and tests/planted/.
PLANTED_FAULT = env.str("PLANTED_FAULT", default="")
if not DEBUG and (PLANTED_FAULT or env.str("FAULTS", default="")):
    raise ImproperlyConfigured(
        "FAULTS and PLANTED_FAULT break the service on purpose; refused unless DEBUG=1."
    )

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. `make run` generates one; set your own anywhere else.")
if not DEBUG and (weakness := weakness_of_key(SECRET_KEY)):
    raise ImproperlyConfigured(
        f"SECRET_KEY {weakness}: whoever guesses it can log in as anybody. Make one with"
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
DATE_FORMAT, DATETIME_FORMAT = "Y-m-d", "Y-m-d H:i:s T"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # the API's paths have no trailing slash; a redirect would turn a POST into a GET

INSTALLED_APPS = [
    "config.apps.DeskConfig",  # django.contrib.admin, with pages of our own
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

# Several machines, each with a Valkey of its own, are a cluster; several with one Valkey for all are distributed.
DEPLOYMENT_MODE = env.str("DEPLOYMENT_MODE", default="standalone")
if DEPLOYMENT_MODE not in ("standalone", "distributed", "cluster"):
    raise ImproperlyConfigured(
        f"DEPLOYMENT_MODE must be standalone, distributed or cluster, not {DEPLOYMENT_MODE!r}."
    )
# What this machine is called, in logs, heartbeats, batches and on the board. NODE is its older name.
NODE_ID = env.str("NODE_ID", default="") or env.str("NODE", default=socket.gethostname())
NODE = NODE_ID
# The nodes that belong to the cluster: whoever is named here and not there is missing.
NODES = env.list("NODES", default=[])
# The servers of the event stream, with commas between; empty: no stream.
NATS_URL = env.list("NATS_URL", default=[])
NATS_USER, NATS_PASSWORD = env.str("NATS_USER", default=""), env.str("NATS_PASSWORD", default="")
if DEPLOYMENT_MODE == "cluster" and not NATS_URL:
    raise ImproperlyConfigured("DEPLOYMENT_MODE=cluster needs NATS_URL, by which the nodes find each other.")
# Which events the stream gets: all, or those that change an order's status. How many copies it has, how long it keeps
# them, and whether an empty one begins with the oldest event that is kept or with what happens from now on.
STREAM_EVENTS = env.str("STREAM_EVENTS", default="all")
if STREAM_EVENTS not in ("all", "status"):
    raise ImproperlyConfigured(f"STREAM_EVENTS must be all or status, not {STREAM_EVENTS!r}.")
STREAM_FROM = env.str("STREAM_FROM", default="start")
if STREAM_FROM not in ("start", "now"):
    raise ImproperlyConfigured(f"STREAM_FROM must be start or now, not {STREAM_FROM!r}.")
STREAM_REPLICAS = whole("STREAM_REPLICAS", default=3 if DEPLOYMENT_MODE == "cluster" else 1, at_least=1)
STREAM_DAYS = number("STREAM_DAYS", default=7, at_least=0.01)
# Where Patroni tells which part this node's PostgreSQL plays; empty: not shown.
PATRONI_URL = env.str("PATRONI_URL", default="").rstrip("/")
# Whose batches count for a dispatcher's limits: those that travel through the same broker as its own.
BATCH_NODE = NODE_ID if DEPLOYMENT_MODE == "cluster" else ""

# --- Engines ----------------------------------------------------------------------------------------------

COMMAND_TIMEOUT_SECONDS = number("COMMAND_TIMEOUT_SECONDS", default=5, at_least=0.1)
DATABASE_URL = database_url(env.str("DATABASE_URL"), password=env.str("DATABASE_PASSWORD", default=""))
DATABASES: dict[str, Any] = {"default": env.db_url_config(DATABASE_URL, engine="database.postgresql")}
# One clock decides: every process reads PostgreSQL's. A statement or a lock that takes too long
# gives up, so that nothing hangs and a lease is never outlived by accident.
_SESSION = {
    "statement_timeout": str(int(COMMAND_TIMEOUT_SECONDS * 1000)),
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "15000",
    "jit": "off",
    # Batches look rows up by key in tables of any size; on flash that is as cheap as reading on.
    "random_page_cost": "1.1",
}
# A pooler such as PgBouncer refuses start-up options: behind one, each new connection sets them with a statement.
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
        "tcp_user_timeout": 3000,  # give up a connection whose peer acknowledges nothing for this long
        **(
            {}
            if DATABASE_POOLER
            else {"options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items())}
        ),
    }
    | DATABASES["default"].get("OPTIONS", {}),
    "TEST": {"NAME": env.str("TEST_DATABASE_NAME", default=None)},
}

# Where reports are read that may be a moment late: a standby, or several. Empty: from the same server as all else.
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
        # The pub/sub layer survives a restart of the broker; what it drops meanwhile, the journal has.
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
# How long a claimed order is left alone before somebody else may take it up again.
LEASE_SECONDS = number("LEASE_SECONDS", default=8, at_least=1)
# The dispatcher is woken by PostgreSQL; this is how long it sleeps when nobody wakes it.
ORDER_PROCESSING_INTERVAL = number("ORDER_PROCESSING_INTERVAL", default=1, at_least=0.05)
# A step waits this long for the slowest of its batch's provider calls, then goes on with the others.
STRAGGLER_PATIENCE_SECONDS = number("STRAGGLER_PATIENCE_SECONDS", default=2, at_least=0.1)
# Claims in a row that were lost in a worker's hands before an order is put before a person; of the first nobody knows.
MAX_ATTEMPTS = whole("MAX_ATTEMPTS", default=5, at_least=1)
# An order whose units are held by orders that are not paid yet waits so long for them before it is refused; 0: it does
# not wait.
STOCK_WAIT_SECONDS = number("STOCK_WAIT_SECONDS", default=90, at_least=0)
# Declined payments that an account may have, each with a burst of the same size, before it places no more orders for a
# while; "off" for no limit. They count where fewer than half of its latest orders were paid …
DECLINES_PER_ACCOUNT = env.str("DECLINES_PER_ACCOUNT", default="60/h")
if not re.fullmatch(r"off|[1-9][0-9]*/[smhd][a-z]*", DECLINES_PER_ACCOUNT):
    raise ImproperlyConfigured(
        f'DECLINES_PER_ACCOUNT must be like "60/h", or off, not {DECLINES_PER_ACCOUNT!r}.'
    )
# … and while they do, it may have only so many orders, and units in them, under way that are not paid.
UNPAID_ORDERS_PER_ACCOUNT = whole("UNPAID_ORDERS_PER_ACCOUNT", default=20, at_least=1)
UNPAID_UNITS_PER_ACCOUNT = whole("UNPAID_UNITS_PER_ACCOUNT", default=200, at_least=1)
# Orders that an account may have on hold, and the days after which one that nobody started is cancelled; 0: never.
HELD_ORDERS_PER_ACCOUNT = whole("HELD_ORDERS_PER_ACCOUNT", default=1000, at_least=1)
HELD_ORDER_DAYS = number("HELD_ORDER_DAYS", default=30, at_least=0)
# While more orders than these wait to be taken up, bulk intake makes its clients wait.
BULK_MAX_WAITING = whole("BULK_MAX_WAITING", default=1_000_000, at_least=1)
# A bulk body that comes more slowly than this is not read on: it keeps a place from others. Each piece of 4 KB has as
# long as it needs at this rate, and `BULK_SLOW_SECONDS` at least; 0 for no limit.
BULK_MIN_BYTES_PER_SECOND = number("BULK_MIN_BYTES_PER_SECOND", default=100, at_least=0)
BULK_SLOW_SECONDS = number("BULK_SLOW_SECONDS", default=30, at_least=0.1)
# Answers that may wait for their client to read them; while there are so many, the request is not read on.
BULK_UNREAD_MEGABYTES = whole("BULK_UNREAD_MEGABYTES", default=128, at_least=1)
IDEMPOTENCY_KEY_DAYS = number("IDEMPOTENCY_KEY_DAYS", default=3, at_least=1)
# Whole months after which orders that ended are moved to the archive; 0: never by themselves.
ARCHIVE_AFTER_MONTHS = whole("ARCHIVE_AFTER_MONTHS", default=0, at_least=0)

# --- Live -------------------------------------------------------------------------------------------------

# Sockets that one account may hold open at one server process; the demo customer counts as staff, because
# every newcomer is that customer.
LIVE_SOCKETS_PER_CUSTOMER = whole("LIVE_SOCKETS_PER_CUSTOMER", default=50, at_least=1)
LIVE_SOCKETS_PER_STAFF = whole("LIVE_SOCKETS_PER_STAFF", default=5000, at_least=1)
# Messages that may wait for one socket. A client that falls behind further is closed, and goes on with `after`.
LIVE_QUEUE_LIMIT = whole("LIVE_QUEUE_LIMIT", default=3000, at_least=100)
# How often each socket's login is looked at again.
LIVE_LOGIN_CHECK_INTERVAL = number("LIVE_LOGIN_CHECK_INTERVAL", default=60, at_least=0.05)
# What customers were told, and what webhooks were told, is kept for so many days.
NOTIFICATION_DAYS = number("NOTIFICATION_DAYS", default=180, at_least=1)
DELIVERY_DAYS = number("DELIVERY_DAYS", default=30, at_least=1)
# An e-mail that the provider would not take is given up after so many tries.
EMAIL_ATTEMPTS = whole("EMAIL_ATTEMPTS", default=20, at_least=1)
# Further e-mails to one address, and of one account's orders, are dropped until the hour is over; 0: no limit.
MAILS_PER_RECIPIENT_PER_HOUR = whole("MAILS_PER_RECIPIENT_PER_HOUR", default=30, at_least=0)
MAILS_PER_ACCOUNT_PER_HOUR = whole("MAILS_PER_ACCOUNT_PER_HOUR", default=1000, at_least=0)

# A webhook that its receiver would not take is given up after so many tries: some four hours.
WEBHOOK_ATTEMPTS = whole("WEBHOOK_ATTEMPTS", default=15, at_least=1)
# Calls of webhooks under way at once in one process, and to one subscription; how long each may take in all.
WEBHOOK_CONCURRENCY = whole("WEBHOOK_CONCURRENCY", default=16, at_least=1)
WEBHOOK_CALLS_PER_SUBSCRIPTION = whole("WEBHOOK_CALLS_PER_SUBSCRIPTION", default=4, at_least=1)
WEBHOOK_TIMEOUT_SECONDS = number("WEBHOOK_TIMEOUT_SECONDS", default=5, at_least=0.1)
if WEBHOOK_TIMEOUT_SECONDS > 30:
    raise ImproperlyConfigured("WEBHOOK_TIMEOUT_SECONDS must be at most 30: a lease must outlive a call.")
# A subscription that took nothing for so many hours is switched off.
WEBHOOK_SWITCH_OFF_HOURS = number("WEBHOOK_SWITCH_OFF_HOURS", default=24, at_least=0)
# Webhooks go to public https addresses only, unless somebody tries them out on their own machine.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)

# --- Providers --------------------------------------------------------------------------------------------

SANDBOX_PORT = whole("SANDBOX_PORT", default=8003, at_least=1)
SANDBOX_URL = env.str("SANDBOX_URL", default=f"http://127.0.0.1:{SANDBOX_PORT}").rstrip("/")
# An empty value, as in a copy of .env.example, is none.
PAYMENT_API_URL = (env.str("PAYMENT_API_URL", default="") or f"{SANDBOX_URL}/payments").rstrip("/")
INVENTORY_API_URL = (env.str("INVENTORY_API_URL", default="") or f"{SANDBOX_URL}/inventory").rstrip("/")
EMAIL_SERVICE_URL = (env.str("EMAIL_SERVICE_URL", default="") or f"{SANDBOX_URL}/email").rstrip("/")
PROVIDERS = {"payments": PAYMENT_API_URL, "inventory": INVENTORY_API_URL, "email": EMAIL_SERVICE_URL}
# The sandbox takes any order for paid and mails nobody: it stands in for a provider by mistake only in DEBUG.
ALLOW_SANDBOX = DEBUG or env.bool("ALLOW_SANDBOX", default=False)
# What the payment provider signs its webhooks with, two while one replaces the other; none: no webhooks are taken.
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
}
_PLAYED = [name for name, address in _ADDRESSES.items() if address.startswith(SANDBOX_URL)]
if PAYMENT_GATEWAY == "in_process":
    _PLAYED.append("PAYMENT_GATEWAY")
if _PLAYED and not ALLOW_SANDBOX:
    raise ImproperlyConfigured(
        f"{', '.join(_PLAYED)} lead to the sandbox, which moves no money, no goods and no mail: name your"
        " providers, or allow it with ALLOW_SANDBOX=1."
    )
# What an order pays with that names nothing; empty: it is refused. A token of the sandbox has no place elsewhere.
DEFAULT_PAYMENT_TOKEN = env.str("DEFAULT_PAYMENT_TOKEN", default="tok_demo" if DEBUG else "")
if DEFAULT_PAYMENT_TOKEN and not ALLOW_SANDBOX:
    raise ImproperlyConfigured("DEFAULT_PAYMENT_TOKEN is for the sandbox only; it needs ALLOW_SANDBOX=1.")
EXTERNAL_TIMEOUT_SECONDS = number("EXTERNAL_TIMEOUT_SECONDS", default=10, at_least=0.05)
# How long the download of the payment provider's ledger may take in all; the audit ends 60 s later.
LEDGER_TIMEOUT_SECONDS = number("LEDGER_TIMEOUT_SECONDS", default=240, at_least=1)
EXTERNAL_RETRY_ATTEMPTS = whole("EXTERNAL_RETRY_ATTEMPTS", default=3, at_least=1)
# Calls at once on threads: what is rare, and what has no conversation.
PROVIDER_CONCURRENCY = whole("PROVIDER_CONCURRENCY", default=16, at_least=1)
# Calls at once on a process's loop at most, to each provider; how many there are adapts to what the provider bears.
PROVIDER_CALLS_IN_FLIGHT = whole("PROVIDER_CALLS_IN_FLIGHT", default=3000, at_least=1)
# Calls a second that a provider allows us in all, kept by all processes together: "payments=100,email=5".
PROVIDER_RATE_LIMITS = rates("PROVIDER_RATE_LIMITS")
# Calls are handed over to the loop, and no batch waits for their answers; 0: a batch waits, and threads make them.
PROVIDER_HANDOVER = env.bool("PROVIDER_HANDOVER", default=True)
HEALTH_CHECK_INTERVAL = number("HEALTH_CHECK_INTERVAL", default=60, at_least=1)
INVENTORY_SYNC_INTERVAL = number("INVENTORY_SYNC_INTERVAL", default=300, at_least=1)
AUDIT_INTERVAL = number("AUDIT_INTERVAL", default=600, at_least=1)

# How often an order of our own is sent through every queue, in seconds; 0: never. With a real payment provider it
# moves real money (and back), so there somebody has to ask for it, with a token that the provider knows.
_IS_PLAY_MONEY = PAYMENT_GATEWAY == "in_process" or "PAYMENT_API_URL" in _PLAYED
CANARY_INTERVAL = number("CANARY_INTERVAL", default=60 if _IS_PLAY_MONEY else 0, at_least=0)
CANARY_PAYMENT_TOKEN = env.str("CANARY_PAYMENT_TOKEN", default="tok_demo")

# --- Celery -----------------------------------------------------------------------------------------------

QUEUES = ("orders", "inventory", "shipping", "payments", "notifications")

CELERY_BROKER_URL = BROKER_URL
CELERY_RESULT_BACKEND = f"config.celery_ext.chord_results:Joins+{RESULTS_URL}"
CELERY_TASK_QUEUES = [Queue(name) for name in QUEUES]
CELERY_TASK_DEFAULT_QUEUE = "orders"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {f"{name}.*": {"queue": name} for name in QUEUES} | {
    "providers.*": {"queue": "notifications"},
    # Not on the inventory's own queue: orders that wait for stock there must not wait for a slow warehouse.
    "inventory.sync_stock": {"queue": "notifications"},
    # Nor on the orders' own: what takes its time must not hold up what settles them.
    "orders.audit": {"queue": "notifications"},
    "orders.clean": {"queue": "notifications"},
    "orders.archive": {"queue": "notifications"},
    # It starts on this queue, and its order goes through all the others.
    "orders.canary": {"queue": "notifications"},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
# A lost child gives its message back at once; a lost worker or message is what an order's due time is for.
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
    "priority_steps": [0],  # one list for each queue to look at
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_REDIS_SOCKET_TIMEOUT = 5
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = 2
# A worker keeps its database connection from task to task instead of opening one for each.
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
    # A tick that nobody took before the next ones came is worth nothing any more.
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
# How much one account may ask, each with a burst of the same size; "off" for no limit. Logins, and tokens that
# nobody has, count by address. Reading one order pays one token of `reads`, a list or the board more: `read_cost`.
THROTTLE_RATES = {
    "writes": env.str("THROTTLE_WRITES", default="200/s"),
    "reads": env.str("THROTTLE_READS", default="200/s"),
    # Of a bulk request, on top of the one write that it is.
    "bulk_lines": env.str("THROTTLE_BULK_LINES", default="300000/minute"),
    "logins": env.str("THROTTLE_LOGINS", default="10/minute"),
    "wrong_tokens": env.str("THROTTLE_WRONG_TOKENS", default="30/minute"),
}
# Threads of a web process (the Procfile starts as many), and how many of them work at a time; the others wait.
WEB_THREADS = whole("WEB_THREADS", default=32, at_least=1)
WEB_AT_ONCE = whole("WEB_AT_ONCE", default=8, at_least=1)
# Requests that one account, or one anonymous address, may have in a web process at once, waiting ones included.
REQUESTS_AT_ONCE = whole("REQUESTS_AT_ONCE", default=10, at_least=1)
# A token that somebody gets for a password is good for so long; one that an administrator issues may have no end.
API_TOKEN_DAYS = whole("API_TOKEN_DAYS", default=90, at_least=1)
CSRF_FAILURE_VIEW = "config.errors.csrf_failed"
REST_FRAMEWORK = {
    # The first one says how to log in, in the answer to who did not.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "api.authentication.SessionAuthentication",
        *(["api.authentication.DemoAuthentication"] if DEMO else []),
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.Throttle"],
    # Whose X-Forwarded-For is believed: that of so many proxies in front, counted from here.
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
        "Orders are stored at once and worked off behind the scenes. Errors always look like "
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
        {"name": "notifications", "description": "What a user was told."},
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
    # Without a validator: it is another company's server, which would be told of ours.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Looking in -------------------------------------------------------------------------------------------

# Who reads /metrics and the details of /health from elsewhere sends this as `Authorization: Bearer …`.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# A file that processes touch while their loop runs, for the health checks of containers; empty: none.
HEARTBEAT_FILE = env.str("HEARTBEAT_FILE", default="")
# Where the live server answers us (people reach it through the proxy).
LIVE_HOST, LIVE_PORT = env.str("LIVE_HOST", default="127.0.0.1"), env.int("LIVE_PORT", default=8002)
LIVE_URL = env.str("LIVE_URL", default=f"http://{LIVE_HOST}:{LIVE_PORT}")
# Where people find Flower, for links; empty: no links.
FLOWER_URL = env.str("FLOWER_URL", default="").rstrip("/")
# Where people find us, for links from elsewhere: those of Flower's tasks to their orders.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
# Where people look at traces, with {trace_id} in it; empty: no links.
TRACE_URL = env.str("TRACE_URL", default="")
if TRACE_URL and "{trace_id}" not in TRACE_URL:
    raise ImproperlyConfigured("TRACE_URL must have {trace_id} where the trace's id belongs.")

# --- Security ---------------------------------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Whose X-Forwarded-* our own proxy believes: the networks of the proxies in front of it (Caddyfile).
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
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # whose address it was is nobody's business

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
            # Plain tracebacks: rich ones take a second each, and print the values of variables, secrets too.
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
        # Django prints to the screen beside the root logger when DEBUG is on: every line twice.
        "django": {"handlers": [], "level": "INFO"},
        # django_structlog says the same of each refused or failed request, and which request it was.
        "django.request": {"level": "CRITICAL"},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "urllib3": {"level": "ERROR"},
        "flower": {"level": "ERROR"},  # it tells of every worker that it finds, and of those still starting
        # One line for each task would drown everything else; Flower shows them.
        "django_structlog.celery": {"level": "WARNING"},
        "django_structlog.middlewares": {"level": "WARNING"},
    },
}
