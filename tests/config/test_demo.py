"""`manage.py demo`."""

from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from accounts.models import ApiToken
from api.authentication import _owners
from config import prepare
from inventory.models import Product
from shipping.models import Zone
from tests.factories import make_token

pytestmark = pytest.mark.django_db


def demo() -> str:
    output = StringIO()
    call_command("demo", stdout=output)
    return output.getvalue()


def snapshot() -> list[object]:
    return [
        list(model.objects.order_by("pk").values())
        for model in (Product, Zone, User, Group, Group.permissions.through, ApiToken)
    ]


def test_it_fills_the_shop_and_a_second_run_changes_nothing():
    demo()
    first = snapshot()
    assert all(first)
    assert "nothing to add" in demo()
    assert snapshot() == first


def test_passwords_come_from_the_environment_and_are_not_printed(monkeypatch):
    monkeypatch.setenv("DEMO_OPERATOR_PASSWORD", "battery-staple")
    assert "battery-staple" not in demo()
    assert authenticate(username="operator", password="battery-staple")


def test_a_password_that_nobody_gave_is_made_up_and_printed(monkeypatch):
    monkeypatch.delenv("DEMO_ADMIN_PASSWORD", raising=False)
    [line] = [line for line in demo().splitlines() if line.startswith("account admin:")]
    password = line.split("password ")[1].split(",")[0]
    assert authenticate(username="admin", password=password)


def test_each_account_may_do_what_its_role_is():
    demo()
    admin, operator, customer = (User.objects.get(username=name) for name in ("admin", "operator", "demo"))
    assert admin.is_superuser
    assert operator.is_staff
    assert not operator.is_superuser
    assert operator.has_perms(
        ["orders.operate_order", "inventory.change_stockitem", "payments.view_transaction"]
    )
    assert not customer.is_staff
    assert customer.get_all_permissions() == {"orders.operate_order"}


def test_the_read_only_group_can_look_at_everything_and_change_nothing():
    demo()
    codes = set(Group.objects.get(name="read-only").permissions.values_list("codename", flat=True))
    assert {"view_order", "view_product", "view_transaction", "view_zone"} <= codes
    assert all(code.startswith("view_") for code in codes)


@pytest.fixture
def token_of_demos_admin() -> str:
    demo()
    User.objects.filter(username="admin").update(password=make_password("correct horse"))
    return make_token(User.objects.get(username="admin"))


def status_of(path: str, token: str) -> int:
    _owners._owners.clear()
    return int(Client().get(path, headers={"Authorization": f"Token {token}"}).status_code)


def test_the_demos_accounts_work_in_a_demo_only(token_of_demos_admin, capsys):
    assert status_of("/api/orders", token_of_demos_admin) == 200

    prepare.main()  # with DEMO=0

    assert "switched off: admin, demo, operator" in capsys.readouterr().out
    assert status_of("/api/orders", token_of_demos_admin) == 401
    assert authenticate(username="admin", password="correct horse") is None
    prepare.main()
    assert "switched off" not in capsys.readouterr().out

    demo()

    assert status_of("/api/orders", token_of_demos_admin) == 200
    assert authenticate(username="admin", password="correct horse")


def test_an_account_that_a_person_made_under_such_a_name_stays(capsys):
    User.objects.create_user("admin", "jane@shop.example", "pass")

    prepare.main()

    assert User.objects.get(username="admin").is_active
