"""The pages that describe the API."""

import re

import pytest

from api import problem_json
from config import pages

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/swagger", "/redoc"])
def test_a_description_of_the_api_loads_nothing_from_elsewhere_and_no_inline_script(client, settings, path):
    settings.SECURE_SSL_REDIRECT = False
    page = client.get(path)
    assert page.status_code == 200
    assert '<html lang="en">' in page.content.decode()
    assert "script-src" not in page["Content-Security-Policy"]  # so it is `default-src 'self'`
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page.content.decode())
    assert not re.search(r"(src|href)=\"(https?:)?//", page.content.decode())


def test_the_type_of_a_problem_leads_to_a_page_about_it(client, settings):
    settings.SECURE_SSL_REDIRECT = False
    page = client.get(problem_json.type_of("price_changed"))
    assert (page.status_code, client.get("/errors/nonsense").status_code) == (200, 404)
    assert "show the customer the current price or total, in <code>details</code>" in page.content.decode()


def test_redoc_asks_no_other_server_for_its_logo(client, settings):
    settings.SECURE_SSL_REDIRECT = False
    script = client.get("/redoc.js").content
    assert pages.NO_LOGO in script
    assert b"cdn.redoc.ly" not in script
