"""API tokens: issued once, kept as digests, and ended by time, by their owner and by a new password."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from rest_framework.test import APIClient

from accounts import tokens
from accounts.lookup import digest_of
from accounts.models import ApiToken
from api import authentication
from live import access
from scheduling.slots import database_now
from tests.factories import make_token, make_user

pytestmark = pytest.mark.django_db

PASSWORD = "a long password"


@pytest.fixture(autouse=True)
def nothing_cached(settings, monkeypatch):
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "off")
    monkeypatch.setattr(authentication._owners, "_owners", {})


@pytest.fixture
def alice(db) -> User:
    return make_user("alice")


def program(token: str, scheme: str = "Bearer") -> APIClient:
    return APIClient(headers={"Authorization": f"{scheme} {token}"})


def answer(token: str, scheme: str = "Bearer") -> tuple[int, str]:
    """What a request with the token gets: its status and code. Nothing is cached from before."""
    authentication._owners._owners.clear()
    response = program(token, scheme).get("/api/orders")
    return response.status_code, response.json().get("error", {}).get("code", "")


def log_in(**more: str) -> Any:
    body = {"username": "alice", "password": PASSWORD} | more
    return APIClient().post("/api/token", body).json()


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "bearer"])
def test_a_token_is_accepted_under_both_names(alice, scheme):
    assert answer(make_token(alice), scheme) == (200, "")


@pytest.mark.parametrize(
    "header", ["", "Basic YTpi", "Bearer", "Token ", "opt_x", "Bearer a b", "Bearer é", "Digest username=a"]
)
def test_a_header_that_cannot_be_read_is_refused_with_a_reason(alice, header, settings):
    settings.DEMO = True  # no fallback to the demo customer
    response = APIClient(HTTP_AUTHORIZATION=header).get("/api/orders")

    assert (response.status_code, response.json()["error"]["code"]) == (401, "authentication_failed")
    assert response.json()["error"]["message"]


def test_each_login_gets_a_token_of_its_own(alice):
    first, second = log_in(), log_in(name="the till")

    assert first["token"] != second["token"]
    assert second["name"] == "the till"
    assert answer(first["token"]) == answer(second["token"]) == (200, "")


def test_no_token_is_stored_in_clear_text(alice):
    token = log_in()["token"]

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(t)::text FROM accounts_apitoken t")
        ((stored,),) = cursor.fetchall()
    assert token not in stored
    assert token[10:30] not in stored


def test_a_token_expires(alice, settings):
    settings.API_TOKEN_DAYS = 30
    token = log_in()["token"]
    assert ApiToken.objects.filter(expires_at__gt=database_now() + timedelta(days=29)).exists()

    ApiToken.objects.update(expires_at=Now())

    assert answer(token) == (401, "token_expired")


def test_a_changed_password_ends_all_tokens(alice):
    token = make_token(alice)

    alice.set_password("another long password")
    alice.save()

    assert answer(token) == (401, "token_revoked")


def test_an_account_that_is_closed_is_not_let_in(alice):
    token = make_token(alice)

    User.objects.update(is_active=False)

    assert answer(token) == (401, "authentication_failed")


def test_one_lists_and_revokes_ones_own(alice):
    mine, other = make_token(alice), make_token(make_user())
    till = log_in(name="the till")

    listed = program(mine).get("/api/tokens").json()["results"]
    assert [(entry["name"], entry["current"]) for entry in listed] == [("the till", False), ("", True)]
    assert all(mine not in str(entry) and till["token"] not in str(entry) for entry in listed)

    assert program(mine).delete(f"/api/tokens/{till['id']}").status_code == 204

    assert answer(till["token"]) == (401, "token_revoked")
    assert [entry["name"] for entry in program(mine).get("/api/tokens").json()["results"]] == [""]
    assert program(other).delete(f"/api/tokens/{listed[1]['id']}").status_code == 404
    assert answer(mine) == (200, "")


def test_a_revoked_token_opens_no_socket_nor_does_its_ticket(alice):
    token = make_token(alice)
    by_header = access.shown_by({"authorization": f"Bearer {token}"}, trust_cookies=False)
    assert by_header is not None
    by_ticket = access.Credential(access.TOKEN, digest_of(token))
    assert by_header == by_ticket
    viewer = access.viewer_of(by_header)
    assert viewer
    assert viewer.user == alice

    tokens.revoke(ApiToken.objects.all())

    assert access.viewer_of(by_header) is None


def test_the_lookup_is_one_query_and_its_use_is_noted_once_an_hour(alice, django_assert_num_queries):
    token = make_token(alice)
    answer(token)
    noted = ApiToken.objects.get().last_used_at
    assert noted is not None

    with django_assert_num_queries(2):  # the token, and the orders
        answer(token)

    assert ApiToken.objects.get().last_used_at == noted
    ApiToken.objects.update(last_used_at=noted - timedelta(hours=2))
    answer(token)
    assert ApiToken.objects.filter(last_used_at__gte=noted).exists()


def test_what_can_be_no_token_is_not_looked_up(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert answer("x" * 100) == (401, "authentication_failed")


def test_an_account_has_so_many_tokens_at_most_and_the_least_used_goes(alice, monkeypatch):
    monkeypatch.setattr(tokens, "MOST_PER_ACCOUNT", 2)
    first, second = make_token(alice), make_token(alice)
    ApiToken.objects.filter(digest=digest_of(first)).update(last_used_at=Now())
    ApiToken.objects.filter(digest=digest_of(second)).update(created_at=database_now() - timedelta(days=1))

    third = make_token(alice)

    assert [answer(token)[0] for token in (first, second, third)] == [200, 401, 200]


# --- Tokens of an earlier version -------------------------------------------------------------------------

FORMER = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def former_token(transactional_db):
    """A database as an earlier version left it: with a token in clear text, before our tables were there."""
    call_command("migrate", "accounts", "zero", verbosity=0)
    alice = make_user("alice")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY, created timestamptz NOT NULL,"
            " user_id integer NOT NULL UNIQUE REFERENCES auth_user (id) DEFERRABLE INITIALLY DEFERRED)"
        )
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, now(), %s)", [FORMER, alice.pk])
    yield FORMER
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE authtoken_token")
    call_command("migrate", "accounts", verbosity=0)


def clear_text() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM authtoken_token")
        return [key for (key,) in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
def test_a_former_token_goes_on_working_and_its_clear_text_goes(former_token):
    call_command("migrate", "accounts", verbosity=0)
    assert answer(former_token, "Token") == (200, "")

    tokens.clean(now=database_now())
    assert clear_text() == [former_token]  # processes of the earlier version may still look it up

    tokens.clean(now=database_now() + timedelta(days=2))

    assert clear_text() == []
    assert answer(former_token, "Token") == (200, "")


@pytest.mark.django_db(transaction=True)
def test_a_token_that_the_earlier_version_issues_meanwhile_is_adopted(former_token):
    call_command("migrate", "accounts", verbosity=0)
    ApiToken.objects.all().delete()
    assert answer(former_token)[0] == 401

    tokens.clean(now=database_now())

    assert answer(former_token) == (200, "")


@pytest.mark.django_db(transaction=True)
def test_a_former_token_that_was_revoked_does_not_come_back(former_token):
    call_command("migrate", "accounts", verbosity=0)
    tokens.revoke(ApiToken.objects.all())

    tokens.clean(now=database_now())
    tokens.clean(now=database_now() + timedelta(days=2))

    assert answer(former_token, "Token") == (401, "token_revoked")


def test_tokens_that_ended_long_ago_are_deleted(alice):
    kept, ended = make_token(alice), make_token(alice)
    long_ago = database_now() - timedelta(days=31)
    ApiToken.objects.filter(digest=digest_of(ended)).update(revoked_at=long_ago)

    tokens.clean(now=database_now())

    assert list(ApiToken.objects.values_list("digest", flat=True)) == [digest_of(kept)]


# --- At the desk ------------------------------------------------------------------------------------------


def test_an_administrator_issues_a_token_for_a_service_and_sees_it_once(alice, client):
    client.force_login(User.objects.create_superuser("boss"))

    page = client.post("/admin/accounts/apitoken/add/", {"user": alice.pk, "name": "the till"})

    token = page.context["token"]
    assert page.status_code == 200
    assert token in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert ApiToken.objects.get().expires_at is None
    assert answer(token) == (200, "")
    assert token not in client.get("/admin/accounts/apitoken/").content.decode()
    assert (
        token
        not in client.get(f"/admin/accounts/apitoken/{ApiToken.objects.get().pk}/change/").content.decode()
    )


def test_an_administrator_revokes_tokens(alice, client):
    token = make_token(alice)
    client.force_login(User.objects.create_superuser("boss"))

    client.post(
        "/admin/accounts/apitoken/", {"action": "revoke", "_selected_action": [ApiToken.objects.get().pk]}
    )

    assert answer(token) == (401, "token_revoked")
