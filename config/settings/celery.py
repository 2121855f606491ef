"""Queues, workers and the schedule."""

from datetime import timedelta

from kombu import Queue

from config.settings.engines import BROKER_URL, RESULTS_URL
from config.settings.orders import ARCHIVE_AFTER_MONTHS
from config.settings.providers import (
    AUDIT_INTERVAL,
    CANARY_INTERVAL,
    HEALTH_CHECK_INTERVAL,
    INVENTORY_SYNC_INTERVAL,
)
from orders import legs

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
# Longest sleep of a worker's loop, and thus until it notices a signal to stop.
CELERY_WORKER_TIMER_PRECISION = 2.0
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
    "health_check_interval": 7,
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
