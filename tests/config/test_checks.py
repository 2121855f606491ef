"""Mistakes in the configuration that stop a boot."""

import pytest
from django.core.checks import run_checks
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from config import checks
from config.celery import app


def ids(found: list) -> list[str]:
    return [message.id for message in found]


@pytest.mark.django_db
def test_this_configuration_is_in_order():
    assert [message for check in checks.ALL for message in check()] == []


@pytest.mark.django_db
def test_django_runs_them_with_its_own(settings):
    settings.CELERY_BEAT_SCHEDULE = {"lost": {"task": "orders.nobody", "schedule": 1}}
    assert "config.E001" in ids(run_checks())


def test_the_schedule_may_only_name_tasks_that_exist(settings):
    settings.CELERY_BEAT_SCHEDULE = {"lost": {"task": "orders.nobody", "schedule": 1}}
    (error,) = checks.schedule_names_tasks()
    assert "'orders.nobody'" in error.msg


def test_every_task_has_a_route(settings):
    settings.CELERY_TASK_ROUTES = {"orders.*": {"queue": "orders"}}
    assert set(ids(checks.routes_lead_somewhere())) == {"config.E002"}


def test_a_route_leads_to_a_queue_and_fits_a_task(settings):
    settings.CELERY_TASK_ROUTES = settings.CELERY_TASK_ROUTES | {"billing.*": {"queue": "billing"}}
    assert ids(checks.routes_lead_somewhere()) == ["config.W003", "config.E004"]


def test_routes_are_those_that_celery_uses():
    for task in checks.registered_tasks():
        assert app.amqp.router.route({}, task)["queue"].name in {queue.name for queue in app.conf.task_queues}


@pytest.mark.parametrize(
    ("demo", "debug", "found"), [(True, False, ["config.E005"]), (True, True, []), (False, False, [])]
)
def test_demo_mode_needs_debug(settings, demo, debug, found):
    settings.DEMO, settings.DEBUG = demo, debug
    assert ids(checks.demo_needs_debug()) == found


@pytest.mark.parametrize(("lease", "patience", "found"), [(8, 2, []), (7.9, 2, ["config.W009"])])
def test_a_batch_has_time_to_wait_for_its_provider(settings, lease, patience, found):
    settings.LEASE_SECONDS, settings.STRAGGLER_PATIENCE_SECONDS = lease, patience
    assert ids(checks.lease_outlasts_patience()) == found


class Open(APIView):
    permission_classes = ()


class Closed(APIView):
    permission_classes = (IsAuthenticated,)


urlpatterns = [path("open", Open.as_view()), path("closed", Closed.as_view())]


@pytest.mark.urls("tests.config.test_checks")
def test_an_api_view_without_permissions_is_found():
    (error,) = checks.views_name_their_permissions()
    assert "Open" in error.msg
