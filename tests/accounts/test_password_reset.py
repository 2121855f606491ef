"""Staff who forgot their password choose another by a mail; the answer reveals no account."""

import re

import pytest
from django.contrib.auth.models import User

from config.passwords import senders
from providers.breaker import breaker
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)

FORM = "/password/reset/"
NEW = "correct horse battery"


@pytest.fixture(autouse=True)
def shop(settings, providers):
    settings.PASSWORD_RESET, settings.SECURE_SSL_REDIRECT = True, False
    settings.PUBLIC_URL = "https://shop.example"
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    breaker("email").reset()
    providers.call("DELETE", "/email/messages")


@pytest.fixture
def ann() -> User:
    return with_address(make_user(is_staff=True))


def with_address(user: User, address: str = "ann@example.com") -> User:
    user.email = address
    user.save()
    return user


def mails_after(client, providers, address: str) -> list[dict[str, str]]:
    answer = client.post(FORM, {"email": address}, headers={"Host": "localhost"})
    assert (answer.status_code, answer["Location"]) == (302, f"{FORM}sent/")
    senders().submit(int).result()  # it is the last of its thread
    found: list[dict[str, str]] = providers.call("GET", "/email/messages?limit=100")["items"]
    return found


def test_the_link_of_the_mail_sets_a_new_password_once(client, providers, ann):
    assert f'href="{FORM}"' in client.get("/admin/login/").content.decode()
    (mail,) = mails_after(client, providers, "Ann@example.com")
    assert mail["to"] == "ann@example.com"
    (link,) = set(re.findall(rf"https://shop\.example({FORM}[\w-]+/[\w-]+/)", mail["text"] + mail["html"]))
    form = client.get(link, follow=True)
    assert link.split("/")[-2] not in form.redirect_chain[-1][0]
    answer = client.post(form.redirect_chain[-1][0], {"new_password1": NEW, "new_password2": NEW})
    assert (answer.status_code, answer["Location"]) == (302, f"{FORM}done/")
    ann.refresh_from_db()
    assert ann.check_password(NEW)
    assert "link was invalid" in client.get(link, follow=True).content.decode()


def test_only_staff_with_a_password_get_one_and_the_answer_is_the_same(client, providers, ann):
    with_address(make_user(), "customer@example.com")
    by_provider = with_address(make_user(is_staff=True), "sso@example.com")
    by_provider.set_unusable_password()
    by_provider.save()
    for address in ("customer@example.com", "sso@example.com", "nobody@example.com"):
        assert mails_after(client, providers, address) == []


def test_a_mailbox_gets_three_an_hour(client, providers, ann):
    assert [len(mails_after(client, providers, ann.email)) for _ in range(5)] == [1, 2, 3, 3, 3]


def test_without_mail_there_is_neither_link_nor_page(client, settings):
    settings.PASSWORD_RESET = False
    assert FORM not in client.get("/admin/login/").content.decode()
    for path in (FORM, f"{FORM}sent/", f"{FORM}MQ/a-b/"):
        assert client.get(path).status_code == 404
