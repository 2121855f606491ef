"""Log lines."""

from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

from config.environment import env
from config.logs import ClientErrorsAsWarnings, WithoutSecrets, without_probes

LOG_FORMAT = env.str("LOG_FORMAT", default="console")
if LOG_FORMAT not in ("console", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be console or json, not {LOG_FORMAT!r}.")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
# A line for each transition of an order: 1, or all: also under a load at which the journal's reader is behind.
LOG_TRANSITIONS = env.str("LOG_TRANSITIONS", default="1")
if LOG_TRANSITIONS not in ("0", "1", "all"):
    raise ImproperlyConfigured(f"LOG_TRANSITIONS must be 0, 1 or all, not {LOG_TRANSITIONS!r}.")
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
        "lines": {"format": "%(message)s"},
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
    "filters": {"client_errors": {"()": ClientErrorsAsWarnings}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["client_errors"],
        },
        # A whole page of lines, formatted already.
        "lines": {"class": "logging.StreamHandler", "formatter": "lines"},
    },
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
        "notifications.transitions": {"handlers": ["lines"], "propagate": False},
    },
}
