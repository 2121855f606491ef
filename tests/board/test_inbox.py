"""The demo's inbox: what customers were mailed, shown without letting a letter do anything."""

import re

import pytest
from django.test import Client

from providers.http import provider

pytestmark = pytest.mark.django_db

HTML = '<p style="color: red">Hello</p><script>alert(1)</script>'


@pytest.fixture
def mailbox(providers_at_sandbox, demo):
    """The sandbox's mailbox, empty."""

    def take(subject: str, to: str = "demo@example.com") -> None:
        body = {"to": to, "subject": subject, "text": f"Text of {subject}", "html": HTML}
        provider("email").post("/messages", body, key=f"inbox-{subject}")

    providers_at_sandbox.call("DELETE", "/email/messages")
    yield take
    providers_at_sandbox.call("DELETE", "/email/messages")


def test_an_empty_inbox_says_what_fills_it(client: Client, mailbox):
    page = client.get("/inbox").content.decode()
    assert "No mail yet." in page


def test_the_newest_mail_is_shown_whole_and_the_others_are_listed(client: Client, mailbox):
    mailbox("First")
    mailbox("Second")
    page = client.get("/inbox").content.decode()
    assert page.index("Second") < page.index("First")
    assert "Text of Second" in page
    assert "Text of First" not in page
    first = re.findall(r'href="(\?mail=[^"]+)"', page)[-1]
    assert "Text of First" in client.get(f"/inbox{first}").content.decode()


def test_mails_are_narrowed_down_by_address(client: Client, mailbox):
    mailbox("Hers", to="ada@example.com")
    mailbox("His")
    page = client.get("/inbox?to=ada@example.com").content.decode()
    assert "Hers" in page
    assert "His" not in page
    assert "No mail to nobody@example.com." in client.get("/inbox?to=nobody@example.com").content.decode()


def test_a_letter_stands_in_a_frame_where_nothing_of_it_runs(client: Client, mailbox):
    mailbox("Letter")
    page = client.get("/inbox")
    assert "unsafe" not in page["Content-Security-Policy"]
    assert "alert(1)" not in page.content.decode()
    frame = re.search(r'<iframe[^>]*src="([^"]+)"[^>]*\bsandbox>', page.content.decode())
    assert frame
    letter = client.get(frame[1])
    assert letter.content.decode() == HTML
    assert letter["X-Frame-Options"] == "SAMEORIGIN"
    policy = letter["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "; sandbox" in policy
    assert "script" not in policy


def test_a_provider_that_is_away_is_told_of_and_breaks_nothing(client: Client, demo, settings):
    settings.EMAIL_SERVICE_URL = "http://127.0.0.1:1/email"
    page = client.get("/inbox")
    assert page.status_code == 200
    assert "is not responding" in page.content.decode()
    assert client.get("/inbox/msg_none").status_code == 404


def test_outside_a_demo_there_is_no_inbox(client: Client, staff):
    client.force_login(staff)
    assert client.get("/inbox").status_code == 404
    assert client.get("/inbox/msg_1").status_code == 404
