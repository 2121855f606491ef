"""The Celery tasks of providers."""

from celery import shared_task
from django.conf import settings

from providers import health
from scheduling.slots import database_now, once_per_slot


@shared_task(name="providers.check_health")
def check_health(**_future: object) -> None:
    now = database_now()
    once_per_slot(
        name="provider health",
        interval=settings.HEALTH_CHECK_INTERVAL,
        work=lambda: _in_words(health.check_all(now)),
        now=now,
    )


def _in_words(reports: list[health.HealthReport]) -> str:
    return ", ".join(f"{report.provider} {'ok' if report.ok else report.detail}" for report in reports)
