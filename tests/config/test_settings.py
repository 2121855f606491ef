"""Settings from the environment: nonsense stops the boot, and says which variable it stands in."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.environment import redis_url


@pytest.mark.parametrize("text", ["apples", "10 apples", "", "nan", "inf", "0", "-3", "1.5", "1,5"])
def test_what_is_no_sensible_whole_number_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("BATCH_SIZE", text)

    with pytest.raises(ImproperlyConfigured, match=r"^BATCH_SIZE must be "):
        environment.whole("BATCH_SIZE", default=500, at_least=1)


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("1e3", 1000), (" 20 ", 20)])
def test_a_number_is_read_as_it_is_written(monkeypatch, text, value):
    monkeypatch.setenv("BATCH_SIZE", text)

    assert environment.whole("BATCH_SIZE", default=500, at_least=1) == value


def test_what_is_not_said_is_the_default(monkeypatch):
    monkeypatch.delenv("BATCH_SIZE", raising=False)

    assert environment.number("BATCH_SIZE", default=0.5, at_least=0) == 0.5


def test_a_boot_that_is_stopped_ends_in_one_sentence():
    prepare = [sys.executable, "-m", "config.prepare"]
    done = subprocess.run(
        prepare, env=os.environ | {"DEBUG": "0", "DEMO": "1"}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("DEMO=1 lets anybody place orders without a login")
    assert len(done.stderr.splitlines()) == 1


STRONG = "b7H2kq9XzL4mWc8RtY1vNp5sDf3gJh6aQe0uPiOo-KlMnB_x"
PRODUCTION = {
    "DEBUG": "0",
    "DEMO": "0",
    "SECRET_KEY": STRONG,
    "ALLOW_SANDBOX": "0",
    "DEFAULT_PAYMENT_TOKEN": "",
    "PAYMENT_API_URL": "https://pay.example",
    "INVENTORY_API_URL": "https://stock.example",
    "EMAIL_SERVICE_URL": "https://mail.example",
    "PAYMENT_GATEWAY": "http",
}


def boot(script: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
    """Load the settings of a production, changed by `variables`, and run a script on them as `s`."""
    return subprocess.run(
        [sys.executable, "-c", f"from config import settings as s; {script}"],
        env=os.environ | PRODUCTION | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_production_with_its_own_providers_boots():
    started = boot(
        "print(s.ALLOW_SANDBOX, repr(s.DEFAULT_PAYMENT_TOKEN), s.CANARY_INTERVAL, s.PASSWORD_RESET)",
        CANARY_INTERVAL="0",
    )
    assert started.stdout.split() == ["False", "''", "0.0", "True"], started.stderr


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"PAYMENT_API_URL": ""}, "PAYMENT_API_URL lead to the sandbox"),
        ({"INVENTORY_API_URL": "", "EMAIL_SERVICE_URL": ""}, "INVENTORY_API_URL, EMAIL_SERVICE_URL lead to"),
        ({"PAYMENT_GATEWAY": "in_process"}, "PAYMENT_GATEWAY lead to the sandbox"),
        ({"DEFAULT_PAYMENT_TOKEN": "tok_demo"}, "DEFAULT_PAYMENT_TOKEN is for the sandbox only"),
        ({"SECRET_KEY": "a"}, "SECRET_KEY has 1 characters, fewer than 40"),
        ({"SECRET_KEY": "ab" * 30}, "SECRET_KEY has 2 different characters, fewer than 12"),
        ({"SECRET_KEY": f"django-insecure-{STRONG}"}, "SECRET_KEY is one that Django generates"),
        ({"ALLOWED_HOSTS": "shop.example,*"}, "ALLOWED_HOSTS=* accepts any Host header"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.7"}, "TRUSTED_PROXIES must be networks with blanks between"),
        (
            {"METRICS_TOKEN": "", "METRICS_TOKEN_FILE": "/nowhere"},
            "METRICS_TOKEN_FILE=/nowhere cannot be read",
        ),
        ({"METRICS_TOKEN": "a", "METRICS_TOKEN_FILE": "/nowhere"}, "are both set; keep one"),
    ],
)
def test_a_production_with_a_hole_does_not_boot_and_says_why(wrong, sentence):
    started = boot(**wrong)
    assert started.returncode != 0
    assert sentence in started.stderr.splitlines()[-1]


def test_the_sandbox_may_stand_in_where_it_is_allowed_by_name():
    started = boot(
        "print(s.PAYMENT_API_URL, s.DEFAULT_PAYMENT_TOKEN, s.PASSWORD_RESET)",
        ALLOW_SANDBOX="1",
        PAYMENT_API_URL="",
        EMAIL_SERVICE_URL="",
        DEFAULT_PAYMENT_TOKEN="tok_demo",
        SANDBOX_URL="http://sandbox",
    )
    assert started.stdout.split() == ["http://sandbox/payments", "tok_demo", "False"], started.stderr


def test_secrets_come_from_files_as_well(tmp_path):
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text(f"{STRONG}-of-a-file\n")
    password.write_text("p@ss/w:rd%41\n")
    started = boot(
        "print(s.SECRET_KEY, s.DATABASES['default']['PASSWORD'], s.DATABASES['default']['HOST'])",
        SECRET_KEY="",
        SECRET_KEY_FILE=str(key),
        DATABASE_URL="postgres://orders_app@db.example:5432/orders",
        DATABASE_PASSWORD_FILE=str(password),
    )
    assert started.stdout.split() == [f"{STRONG}-of-a-file", "p@ss/w:rd%41", "db.example"], started.stderr


@pytest.mark.parametrize(
    ("given", "password", "url"),
    [
        ("redis://:p@h:1", "", "redis://:p@h:1/2"),
        ("redis://:p@h:1/", "", "redis://:p@h:1/2"),
        ("redis://h:1", "a@b/c", "redis://:a%40b%2Fc@h:1/2"),
        ("redis://user:old@h:1", "new", "redis://user:new@h:1/2"),
        ("redis://:p@h:1?protocol=2", "", "redis://:p@h:1/2?protocol=2"),
        ("rediss://:p@h:1", "", "rediss://:p@h:1/2?ssl_cert_reqs=required"),
        ("rediss://:p@h:1?ssl_cert_reqs=none", "", "rediss://:p@h:1/2?ssl_cert_reqs=none"),
    ],
)
def test_the_databases_number_and_the_password_find_their_places_in_the_brokers_url(given, password, url):
    assert redis_url(given, 2, password=password) == url


def test_prepare_stops_at_what_the_deploy_check_finds(tmp_path):
    # A task route without a queue is an error of a check, not of the settings.
    done = subprocess.run(
        [sys.executable, "-c", BROKEN_SCHEDULE],
        env=os.environ | PRODUCTION | {"DATA_DIR": str(tmp_path), "ALLOW_SANDBOX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "config.E001" in done.stderr


BROKEN_SCHEDULE = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from django.conf import settings
settings.CELERY_BEAT_SCHEDULE = {"lost": {"task": "orders.nothing", "schedule": 1.0}}
import sys
from django.core.management import CommandError
from config import prepare
try:
    prepare.main()
except CommandError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("name", "value"), [("CURRENCY", "usd"), ("CURRENCY", "XYZ"), ("DEFAULT_COUNTRY", "UK")]
)
def test_a_code_that_iso_does_not_have_stops_the_boot(name, value):
    prepare = [sys.executable, "-c", "from config import settings"]
    done = subprocess.run(
        prepare, env=os.environ | {name: value}, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert f"{name} must be an ISO" in done.stderr + done.stdout
