"""Odd parameters of the desk: no page of it fails, whatever stands behind the question mark."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from config.admin_site import PAGES
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db

ODD = ("%00", "%FF%FE%27", "9" * 30, "-1", "NaN", "2026-13-45")
ALWAYS = (
    "q",
    "p",
    "o",
    "all",
    "e",
    "_popup",
    "_to_field",
    "_facets",
    "kind",
    "state",
    "before",
    "no_such_field",
)


@pytest.fixture(autouse=True)
def without_the_list_of_apps(monkeypatch) -> None:
    """It is on every page and costs a third of it, but reads no parameter."""
    monkeypatch.setattr(admin.site, "enable_nav_sidebar", False)
    monkeypatch.setattr(admin.site, "get_app_list", lambda request, app_label=None: [])


@pytest.fixture
def boss(db) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss"))
    make_order((make_product(), 1))
    return client


def lists() -> dict[str, set[str]]:
    """Return the address of each list with the parameters that mean something there."""
    found = {}
    for model, its_admin in admin.site._registry.items():
        fields = {field.name for field in model._meta.concrete_fields}
        filters = {_parameter(entry) for entry in its_admin.list_filter}
        lookups = {f"{name}__{lookup}" for name in filters for lookup in ("exact", "isnull")}
        lookups |= {f"{name}__{lookup}" for name in fields for lookup in ("gte", "in")}
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        found[path] = fields | filters | lookups
    return found | {f"/admin/{page.path}/": set() for page in PAGES}


def _parameter(entry: object) -> str:
    if isinstance(entry, tuple):
        return str(entry[0])
    return str(getattr(entry, "parameter_name", entry))


def failures(client: Client, path: str, parameters: set[str]) -> Iterator[str]:
    for name in sorted(parameters | set(ALWAYS)):
        for value in ODD:
            address = f"{path}?{name}={value}"
            if status_of(client, address) >= 500:
                yield address


def status_of(client: Client, address: str) -> int:
    with transaction.atomic():  # a question that the database refuses spoils no other
        status = client.get(address).status_code
        transaction.set_rollback(True)
    return status


@pytest.mark.parametrize(("path", "parameters"), lists().items())
def test_no_list_fails_for_an_odd_parameter(boss, path, parameters):
    assert list(failures(boss, path, parameters)) == []


@pytest.mark.parametrize(
    "path", ["/", "/sales", "/board/orders/1", "/swagger", "/redoc", "/api/login/login/"]
)
def test_no_other_page_fails_for_one(boss, path):
    assert list(failures(boss, path, {"days", "reference", "body", "next", "after", "scheme"})) == []


@pytest.mark.parametrize("path", lists())
def test_no_page_fails_for_an_odd_id(boss, path):
    bad = [f"{path}{odd}/change/" for odd in ODD if status_of(boss, f"{path}{odd}/change/") >= 500]

    assert bad == []
