"""The examples are run as a developer runs them, in Python, TypeScript and shell: from outside, at real servers."""

import base64
import hmac
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from playwright._impl._driver import compute_driver_executable

from launcher.procfile import PROCFILE
from orders import commands
from orders.models import Order
from tests.factories import make_product, make_shipping, make_token, make_user
from tests.notifications.factories import make_quiet_order, something_happens
from tests.notifications.live_server import LiveServer

EXAMPLES = PROCFILE.parent / "examples"
# Playwright's own Node strips types; the system's is often too old.
NODE = compute_driver_executable()[0]
LANGUAGES = {"python": (sys.executable, "py"), "typescript": (NODE, "ts"), "shell": ("sh", "sh")}
NEEDS = {"create_order": "curl", "follow_order": "curl", "verify_webhook": "openssl"}


@pytest.fixture(params=LANGUAGES)
def program(request):
    """Return the command of an example in each language."""

    def command(name, *arguments):
        if request.param == "shell" and not shutil.which(NEEDS[name]):
            pytest.skip(f"needs {NEEDS[name]}")
        interpreter, ending = LANGUAGES[request.param]
        return [interpreter, f"{name}.{ending}", *arguments]

    return command


@pytest.fixture
def shop(transactional_db, settings, live_server):
    """A shop's account at a real server: what the examples read."""
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    make_shipping(price="4.99")
    user = make_user()
    return user, {"API_URL": live_server.url, "API_TOKEN": make_token(user)}


def start(command, variables):
    return subprocess.Popen(
        command,
        env=os.environ | variables,
        cwd=EXAMPLES,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_places_an_order_at_the_quoted_total(program, shop):
    sku = make_product(price="10.00").sku
    said, complaints = start(program("create_order", sku, "2"), shop[1]).communicate(timeout=60)
    assert Order.objects.get().number in said.decode(), complaints
    assert re.search(r"\b24\.99\b", said.decode())


def test_it_follows_an_order_to_its_end(program, shop, live):
    user, variables = shop
    order_id = make_quiet_order(user)
    process = start(program("follow_order", str(order_id)), variables | {"LIVE_URL": live.url})
    assert process.stdout
    lines = [process.stdout.readline()]  # it has begun
    something_happens(order_id)
    commands.cancel_order(order_id=order_id, reason="")
    said, complaints = process.communicate(timeout=60)
    events = [tuple(line.split()[:2]) for line in (b"".join(lines) + said).decode().splitlines()]
    assert events[0] == ("1", "order_placed"), complaints
    assert events[-1][1] == "order_cancelled"
    assert [int(sequence) for sequence, _ in events] == list(range(1, len(events) + 1))


@pytest.fixture(scope="module")
def live(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        server = LiveServer().start()
    yield server
    server.stop()


def test_it_verifies_a_standard_webhook(program):
    secret, now = base64.b64encode(b"a key of two dozen bytes").decode(), int(time.time())

    def verify(body, *, sent_at=now):
        signed = hmac.digest(
            base64.b64decode(secret), f"msg_1.{sent_at}.".encode() + b'{"type":"a"}', "sha256"
        )
        signature = f"v1,AAAA v1,{base64.b64encode(signed).decode()}"
        command = program("verify_webhook", "msg_1", str(sent_at), signature)
        process = start(command, {"WEBHOOK_SECRET": f"whsec_{secret}"})
        said, _ = process.communicate(body, timeout=60)
        return process.returncode, said.strip()

    status, said = verify(b'{"type":"a"}')
    assert (status, said in (b"a", b'{"type":"a"}')) == (0, True)
    assert verify(b'{"type":"b"}') == (1, b"")
    assert verify(b'{"type":"a"}', sent_at=now - 3600) == (1, b"")
