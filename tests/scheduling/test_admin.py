"""Scheduled runs on the operators' desk."""

import pytest
from django.contrib.auth.models import User

from scheduling.models import ScheduledRun
from scheduling.slots import database_now, once_per_slot
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_runs_are_shown_with_what_came_of_them(client):
    client.force_login(User.objects.create_superuser("admin"))
    assert "No runs yet." in client.get("/admin/scheduling/runs/").content.decode()
    once_per_slot(name="audit", interval=600, work=lambda: "12 orders, 0 violations", now=database_now())
    once_per_slot(name="beat", interval=10, work=lambda: None, now=database_now())
    assert "12 orders, 0 violations" in client.get("/admin/scheduling/runs/").content.decode()
    runs = client.get("/admin/scheduling/runs/?name=beat").context["runs"]
    assert [run.name for run in runs] == ["beat"]
    assert ScheduledRun.objects.count() == 2


def test_a_member_of_the_staff_without_permission_does_not_see_them(client):
    client.force_login(make_user(is_staff=True))
    assert client.get("/admin/scheduling/runs/").status_code == 403
