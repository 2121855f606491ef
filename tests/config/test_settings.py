"""Settings from the environment: nonsense stops the boot, and says which variable it stands in."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import settings


@pytest.mark.parametrize("text", ["apples", "10 apples", "", "nan", "inf", "0", "-3", "1.5", "1,5"])
def test_what_is_no_sensible_whole_number_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("BATCH_SIZE", text)

    with pytest.raises(ImproperlyConfigured, match=r"^BATCH_SIZE must be "):
        settings.whole("BATCH_SIZE", default=500, at_least=1)


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("1e3", 1000), (" 20 ", 20)])
def test_a_number_is_read_as_it_is_written(monkeypatch, text, value):
    monkeypatch.setenv("BATCH_SIZE", text)

    assert settings.whole("BATCH_SIZE", default=500, at_least=1) == value


def test_what_is_not_said_is_the_default(monkeypatch):
    monkeypatch.delenv("BATCH_SIZE", raising=False)

    assert settings.number("BATCH_SIZE", default=0.5, at_least=0) == 0.5


def test_a_boot_that_is_stopped_ends_in_one_sentence():
    prepare = [sys.executable, "-m", "config.prepare"]
    done = subprocess.run(
        prepare, env=os.environ | {"DEBUG": "0", "DEMO": "1"}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("DEMO=1 lets anybody place orders without a login")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("CURRENCY", "usd"), ("CURRENCY", "XYZ"), ("DEFAULT_COUNTRY", "UK")]
)
def test_a_code_that_iso_does_not_have_stops_the_boot(name, value):
    prepare = [sys.executable, "-m", "config.prepare"]
    done = subprocess.run(
        prepare, env=os.environ | {name: value}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert f"{name} must be an ISO" in done.stderr + done.stdout
