"""What is told to browsers, what does not boot, and what is too much to read."""

import gzip
import json
import os
import subprocess
import sys

import pytest
import requests
from django.test import Client

from config import checks
from config.environment import redis_url
from tests.factories import make_user
from tests.security.conftest import token_of

PAGES = ["/admin/login/", "/api", "/api/login/login/", "/swagger", "/health/live", "/nothing-here"]
HERE = {"DEBUG": "0", "DEMO": "0", "HTTPS": "1"}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_what_browsers_may_do_with_it(db, path):
    headers = Client().get(path).headers

    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_the_desk_runs_no_scripts_but_its_own(db):
    assert "script-src 'self';" in Client().get("/admin/login/")["Content-Security-Policy"]


def boot(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Load the settings, and print what matters behind https."""
    names = "SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SESSION_COOKIE_HTTPONLY"
    script = f"from config import settings as s; print([getattr(s, n) for n in {names.split()}])"
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | HERE | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "wrong", [{"SECRET_KEY": ""}, {"DEMO": "1"}, {"FAULTS": "a.b:kill"}, {"PAYMENT_WEBHOOK_SECRETS": "short"}]
)
def test_outside_debug_nothing_starts_without_a_secret_or_with_a_hole(wrong):
    started = boot(**wrong)

    assert started.returncode != 0
    assert "ImproperlyConfigured" in started.stderr
    assert next(iter(wrong)) in started.stderr.splitlines()[-1]


def test_behind_https_cookies_and_browsers_stay_there():
    assert boot().stdout.strip() == "[True, 31536000, True, True, True]"


def test_an_engine_without_a_password_is_a_warning_before_deployment(settings):
    assert checks.engines_want_passwords() == []
    settings.BROKER_URL = "redis://127.0.0.1:6379/0"
    settings.DATABASES = {"default": settings.DATABASES["default"] | {"PASSWORD": ""}}

    assert [message.msg for message in checks.engines_want_passwords()] == [
        "DATABASE_URL has no password.",
        "REDIS_URL has no password.",
    ]


def test_a_password_beside_the_address_of_the_broker_is_one(settings):
    settings.REDIS_URL = "redis://127.0.0.1:6379"
    settings.BROKER_URL = redis_url(settings.REDIS_URL, 0, password="word")

    assert checks.engines_want_passwords() == []


def test_a_packed_body_is_not_unpacked(webs, shop):
    bomb = gzip.compress(json.dumps({"customerName": "a" * 10_000_000, "items": []}).encode())
    headers = token_of(make_user()) | {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    answer = requests.post(f"{webs[0].url}/api/orders", data=bomb, headers=headers, timeout=30)

    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("size", [300_000, 30_000_000])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(webs, shop, size):
    headers = token_of(make_user()) | {"Content-Type": "application/json"}

    answer = requests.post(f"{webs[0].url}/api/orders", data=b"a" * size, headers=headers, timeout=30)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_headers_without_end_are_refused(webs):
    answer = requests.get(f"{webs[0].url}/api", headers={"X-Long": "a" * 1_000_000}, timeout=30)

    assert answer.status_code in (400, 431)
