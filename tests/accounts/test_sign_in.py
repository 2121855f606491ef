"""Where staff need a second factor, a password alone opens nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from accounts.sign_in import PasswordBackend
from tests.factories import make_user

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "a long password"  # of make_user


@pytest.mark.parametrize(
    ("path", "gets_in"), [("/admin/login/", True), ("/api/token", False), ("/api/login/login/", False)]
)
def test_a_password_of_staff_is_taken_at_the_desk_only(path, gets_in):
    staff, customer = make_user(is_staff=True), make_user()
    request = RequestFactory().post(path)
    for user, expected in ((staff, gets_in), (customer, True)):
        found = PasswordBackend().authenticate(request, username=user.username, password=PASSWORD)
        assert (found == user) is expected


def test_a_session_without_the_code_does_not_open_the_desk(client, settings):
    settings.SECURE_SSL_REDIRECT = False
    client.force_login(make_user(is_staff=True))
    assert client.get("/admin/").status_code == 200
    settings.SECOND_FACTOR = True
    answer = client.get("/admin/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/")


def test_single_sign_on_takes_verified_addresses_of_known_accounts_only():
    pytest.importorskip("mozilla_django_oidc")
    from config.single_sign_on import Backend  # noqa: PLC0415 - an optional extra

    ann = User.objects.create_user("ann", email="Ann@example.com")
    User.objects.create_user("gone", email="gone@example.com", is_active=False)
    backend = Backend.__new__(Backend)
    assert backend.verify_claims({"email": "ann@example.com", "email_verified": True})
    assert not backend.verify_claims({"email": "ann@example.com"})
    assert list(backend.filter_users_by_claims({"email": "ann@example.com"})) == [ann]
    for unknown in ("gone@example.com", "", "eve@example.com"):
        assert not backend.filter_users_by_claims({"email": unknown})


def test_the_settings_fit_together_with_both_on():
    for package in ("mozilla_django_oidc", "django_otp"):
        pytest.importorskip(package)
    oidc = {f"OIDC_RP_{name}": "x" for name in ("CLIENT_ID", "CLIENT_SECRET")}
    oidc |= {
        f"OIDC_OP_{name}_ENDPOINT": "https://id.example/x"
        for name in ("AUTHORIZATION", "TOKEN", "USER", "JWKS")
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=os.environ | oidc | {"SECOND_FACTOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
