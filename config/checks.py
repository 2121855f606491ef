"""Mistakes in the configuration that should stop a boot, told in a sentence each."""

from collections.abc import Iterator
from fnmatch import fnmatch
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import autodiscover_modules
from rest_framework.views import APIView


def schedule_names_tasks(**_: object) -> list[CheckMessage]:
    """Every entry of the schedule names a task that exists."""
    known = registered_tasks()
    return [
        Error(
            f"The schedule's entry {entry!r} names the task {spec['task']!r}, which nobody registers.",
            id="config.E001",
        )
        for entry, spec in settings.CELERY_BEAT_SCHEDULE.items()
        if spec["task"] not in known
    ]


def routes_lead_somewhere(**_: object) -> list[CheckMessage]:
    """Every task has a route to a queue that exists, and every route has a task."""
    known, queues = registered_tasks(), {queue.name for queue in settings.CELERY_TASK_QUEUES}
    lost = [
        task for task in known if not any(fnmatch(task, pattern) for pattern in settings.CELERY_TASK_ROUTES)
    ]
    errors: list[CheckMessage] = [
        Error(f"No route in CELERY_TASK_ROUTES takes the task {task!r} to a queue.", id="config.E002")
        for task in lost
    ]
    for pattern, route in settings.CELERY_TASK_ROUTES.items():
        if not any(fnmatch(task, pattern) for task in known):
            errors.append(Caution(f"The route {pattern!r} fits no task.", id="config.W003"))
        if route["queue"] not in queues:
            errors.append(
                Error(
                    f"The route {pattern!r} leads to {route['queue']!r}, which is no queue.", id="config.E004"
                )
            )
    return errors


def demo_needs_debug(**_: object) -> list[CheckMessage]:
    """Nobody runs a shop in which everybody is the demo customer."""
    if settings.DEMO and not settings.DEBUG:
        return [
            Error(
                "DEMO lets anybody act without a login; it is refused unless DEBUG is on.", id="config.E005"
            )
        ]
    return []


def views_name_their_permissions(**_: object) -> list[CheckMessage]:
    """No view of the API is open because somebody emptied its list of permissions."""
    return [
        Error(f"{view.__module__}.{view.__name__} has no permission classes.", id="config.E006")
        for view in sorted(set(api_views(get_resolver())), key=lambda view: (view.__module__, view.__name__))
        if not view.permission_classes
    ]


def lease_outlasts_patience(**_: object) -> list[CheckMessage]:
    """A batch may wait three times for slow answers, one time after the other, and is to have arrived by then.

    There for authorizations, captures and those of its latecomers, back for look-ups, returns and what was captured
    after all. If it is claimed again meanwhile, that looks like a lost worker, and the second time counts as one.
    """
    lease, enough = settings.LEASE_SECONDS, 4 * settings.STRAGGLER_PATIENCE_SECONDS
    if lease < enough:
        return [
            Caution(
                f"LEASE_SECONDS is {lease:g}: a batch may still wait for its provider then."
                f" It should be {enough:g}, four times STRAGGLER_PATIENCE_SECONDS.",
                id="config.W009",
            )
        ]
    return []


def engines_want_passwords(**_: object) -> list[CheckMessage]:
    """Neither the database nor the broker, whose messages workers obey, lets in whoever finds it."""
    addresses = {"DATABASE_URL": settings.DATABASES["default"]["PASSWORD"], "REDIS_URL": settings.REDIS_URL}
    open_to_all = [
        name
        for name, value in addresses.items()
        if not (urlsplit(value).password if name == "REDIS_URL" else value)
    ]
    return [Caution(f"{name} has no password.", id="config.W008") for name in open_to_all]


def https_wants_a_trusted_proxy(**_: object) -> list[CheckMessage]:
    """With HTTPS=1 somebody in front speaks TLS, and our own proxy has to believe what it says of the scheme."""
    if settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXIES:
        return [
            Caution(
                "HTTPS is on and TRUSTED_PROXIES names no proxy: behind the Caddyfile every answer would be a"
                " redirect to itself.",
                id="config.W010",
            )
        ]
    return []


# What only matters where strangers could come by.
DEPLOY = (engines_want_passwords, https_wants_a_trusted_proxy)
ALL = (
    schedule_names_tasks,
    routes_lead_somewhere,
    demo_needs_debug,
    views_name_their_permissions,
    lease_outlasts_patience,
)


def registered_tasks() -> set[str]:
    """Return the names of our tasks, Celery's own left out."""
    # Not through Celery's loader: it runs the checks first, and would come back here.
    autodiscover_modules("tasks")
    return {name for name in current_app.tasks if not name.startswith("celery.")}


def api_views(resolver: URLResolver) -> Iterator[type[APIView]]:
    """Yield the class of every API view below an address."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from api_views(entry)
        elif isinstance(entry, URLPattern):
            view = getattr(entry.callback, "cls", None)
            if isinstance(view, type) and issubclass(view, APIView):
                yield view
