"""Mistakes in the configuration that stop a boot."""

import pytest
from django.core.checks import run_checks
from django.core.management.base import SystemCheckError
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from config import checks, leg_checks, prepare
from config.celery import app
from orders import legs
from orders.rules.leg_types import Leg, Mark, State, Wait


def ids(found: list) -> list[str]:
    return [message.id for message in found]


@pytest.mark.django_db
def test_this_configuration_is_in_order():
    assert [message for check in checks.ALL for message in check()] == []


@pytest.mark.django_db
def test_django_runs_them_with_its_own(settings):
    settings.CELERY_BEAT_SCHEDULE = {"lost": {"task": "orders.nobody", "schedule": 1}}
    assert "config.E001" in ids(run_checks())


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [False, True])
def test_they_stop_the_preparation_of_the_database(settings, debug):
    settings.DEBUG = debug
    settings.CELERY_BEAT_SCHEDULE = {"lost": {"task": "orders.nobody", "schedule": 1}}
    with pytest.raises(SystemCheckError, match=r"config\.E001"):
        prepare.main()


def test_celerys_programs_run_none(monkeypatch):
    runs: list[object] = []
    monkeypatch.setattr("django.core.checks.run_checks", lambda: runs.append(None))
    app.loader.import_default_modules()
    assert not runs


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


# --- Legs ---


class Gift(Leg):
    """A leg of which nothing exists but its declaration."""

    name, title, short_title, customers_title = "gift", "Gift", "Gift", "Gift"
    queue, step, provider = "gifts", "wrap_gifts", "paper"
    PENDING = State("", Mark.OPEN, "not wrapped yet")
    WRAPPED = State("wrapped in paper", Mark.DONE, "wrapped", weight=5, good=True)
    waits_in_any_state = (Wait("paper", "the paper"),)
    confirmed_as = completed_as = WRAPPED


@pytest.mark.django_db
def test_every_part_of_a_declared_leg_is_there():
    assert leg_checks.legs_are_whole() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "part",
    [
        "no field in orders.workflow.JourneyState",
        "no column in orders.models.Journey",
        "the queue 'gifts', which is not in QUEUES",
        "No worker in the Procfile reads the queue 'gifts'",
        "calls 'paper', which is not in PROVIDERS",
        "The task 'gifts.wrap_gifts' of the leg 'gift' is not registered",
        "'wrap_gifts' of the leg 'gift' has no kill points",
        "Two legs have waits that no state records",
    ],
)
def test_a_missing_part_of_a_leg_stops_the_boot(monkeypatch, part):
    monkeypatch.setattr(leg_checks, "LEGS", (*legs.LEGS, Gift()))
    assert any(part in error.msg for error in leg_checks.legs_are_whole())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"PENDING": State("new", Mark.OPEN, "new")}, "it has to be empty"),
        ({"WRAPPED": State("a long code", Mark.DONE, "wrapped", weight=5)}, "too long for its column"),
        ({"TORN": State("torn", Mark.REFUSED, "torn")}, "is refused by 'torn', without an event"),
        (
            {"LOST": State("lost", Mark.PERSON, "lost", approved_as="found")},
            "no state 'found' to be approved as",
        ),
        ({"WRAPPED": State("wrapped", Mark.DONE, "wrapped", weight=80)}, "adds up to 100 percent"),
    ],
)
def test_a_declaration_that_cannot_work_stops_the_boot(monkeypatch, change, complaint):
    named_stock = {"name": "stock", "PENDING": Gift.PENDING, "waits_in_any_state": ()}
    changed = type("Changed", (Gift,), named_stock | change)
    monkeypatch.setattr(leg_checks, "LEGS", (*legs.LEGS, changed()))
    assert any(complaint in error.msg for error in leg_checks.legs_are_whole())
