"""What tests of the live feed need."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from tests.factories import make_token, make_user
from tests.notifications.live_server import LiveServer


@pytest.fixture(scope="package")
def live(django_db_setup, django_db_blocker) -> Iterator[LiveServer]:
    """A live server that all tests share."""
    with django_db_blocker.unblock():
        server = LiveServer().start()
    yield server
    server.stop()


@pytest.fixture
def start_live(transactional_db) -> Iterator[Callable[..., LiveServer]]:
    """Start a live server of the test's own, with other settings, or to kill it."""
    servers: list[LiveServer] = []

    def start(**environment: str) -> LiveServer:
        servers.append(LiveServer(**environment).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def alice(transactional_db) -> User:
    """A customer."""
    return make_user("alice")


@pytest.fixture
def staff(transactional_db) -> User:
    """A user who sees every order."""
    return make_user("staff", is_staff=True)


def token_of(user: User) -> str:
    """Return the Authorization header of a user's API token."""
    return f"Token {make_token(user)}"


def cookie_of(user: User) -> str:
    """Return the Cookie header of a user who has logged in."""
    client = Client()
    client.force_login(user)
    return f"sessionid={client.session.session_key}"


def log_out(cookie: str) -> None:
    """End the session that the cookie stands for."""
    SessionStore(cookie.partition("=")[2]).flush()
