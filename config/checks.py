"""System checks that stop the boot."""

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

from payments.gateways import GatewayUnknown, gateway, names_in_use


def schedule_names_tasks(**_: object) -> list[CheckMessage]:
    known = registered_tasks()
    return [
        Error(
            f"The schedule's entry {entry!r} names the task {spec['task']!r}, which is not registered.",
            id="config.E001",
        )
        for entry, spec in settings.CELERY_BEAT_SCHEDULE.items()
        if spec["task"] not in known
    ]


def routes_lead_somewhere(**_: object) -> list[CheckMessage]:
    """Tasks have routes to existing queues, and routes match tasks."""
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


def gateways_load(**_: object) -> list[CheckMessage]:
    """Each payment gateway in use can be loaded, and its provider has an address."""
    errors: list[CheckMessage] = []
    for name in names_in_use():
        try:
            provider = gateway(name).provider
        except GatewayUnknown as unknown:
            errors.append(Error(str(unknown), id="config.E010"))
            continue
        if provider and provider not in settings.PROVIDERS:
            address = f"The payment gateway {name!r} needs the address of {provider!r} in PAYMENT_PROVIDERS."
            errors.append(Error(address, id="config.E011"))
    return errors


def demo_needs_debug(**_: object) -> list[CheckMessage]:
    """DEMO needs DEBUG: it makes every visitor the demo customer."""
    if settings.DEMO and not settings.DEBUG:
        return [
            Error(
                "DEMO lets any visitor act without a login; it is refused unless DEBUG is on.",
                id="config.E005",
            )
        ]
    return []


def views_name_their_permissions(**_: object) -> list[CheckMessage]:
    return [
        Error(f"{view.__module__}.{view.__name__} has no permission classes.", id="config.E006")
        for view in sorted(set(api_views(get_resolver())), key=lambda view: (view.__module__, view.__name__))
        if not view.permission_classes
    ]


def lease_outlasts_patience(**_: object) -> list[CheckMessage]:
    """The lease covers up to three slow provider calls in sequence.

    Forward: authorizations, captures, captures of stragglers. Backward: look-ups, reversals, late reversals.
    A batch reclaimed meanwhile looks like a worker crash.
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
    """Database and broker, whose messages workers execute, need passwords."""
    passwords = {
        "DATABASE_URL": settings.DATABASES["default"]["PASSWORD"],
        # Not REDIS_URL: REDIS_PASSWORD may hold it apart.
        "REDIS_URL": urlsplit(settings.BROKER_URL).password,
    }
    open_to_all = [name for name, password in passwords.items() if not password]
    return [Caution(f"{name} has no password.", id="config.W008") for name in open_to_all]


def https_wants_a_trusted_proxy(**_: object) -> list[CheckMessage]:
    """With HTTPS=1 TLS ends in front of us: our proxy must trust the forwarded scheme."""
    if settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXIES:
        return [
            Caution(
                "HTTPS is on and TRUSTED_PROXIES names no proxy: behind the Caddyfile every answer would be a"
                " redirect to itself.",
                id="config.W010",
            )
        ]
    return []


# Only relevant where strangers have access.
DEPLOY = (engines_want_passwords, https_wants_a_trusted_proxy)
ALL = (
    schedule_names_tasks,
    routes_lead_somewhere,
    gateways_load,
    demo_needs_debug,
    views_name_their_permissions,
    lease_outlasts_patience,
)


def registered_tasks() -> set[str]:
    # Celery's loader runs the checks first and would recurse
    autodiscover_modules("tasks")
    return {name for name in current_app.tasks if not name.startswith("celery.")}


def api_views(resolver: URLResolver) -> Iterator[type[APIView]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from api_views(entry)
        elif isinstance(entry, URLPattern):
            view = getattr(entry.callback, "cls", None)
            if isinstance(view, type) and issubclass(view, APIView):
                yield view
