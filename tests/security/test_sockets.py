"""Access to sockets: users see their own orders only; a ticket admits once, for a limited time."""

from typing import Any

import pytest

from database.prepared import execute
from live import tickets
from live.access import Credential
from tests.factories import make_user
from tests.notifications.conftest import live, start_live  # noqa: F401 - fixtures
from tests.notifications.factories import make_quiet_order, something_happens
from tests.notifications.live_server import close_of, next_message
from tests.notifications.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

SOCKETS = ("/ws/orders", "/ws/orders/{order}", "/orderHub")
FEEDS = ("/ws/orders", "/orderHub")


def ticket_of(user):
    """Issue a ticket for a user."""
    return tickets.issue(Credential("account", str(user.pk)))


@pytest.fixture
def owner(transactional_db):
    return make_user()


@pytest.fixture
def other(transactional_db):
    return make_user()


@pytest.fixture
def order(owner):
    return make_quiet_order(owner)


@pytest.mark.parametrize("path", SOCKETS)
async def test_without_a_ticket_nobody_gets_in(live, order, path):  # noqa: F811
    async with live.connect(path.format(order=order), origin=False) as socket:
        assert (await close_of(socket))[0] == 4401


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_ticket_is_good_once_for_all_sockets_together(live, order, owner, path):  # noqa: F811
    ticket = await in_thread(ticket_of, owner)
    async with live.connect(f"{path.format(order=order)}?ticket={ticket}", origin=False) as socket:
        if path == "/orderHub":  # which says nothing until it knows which language is spoken
            await socket.send('{"protocol": "json", "version": 1}\x1e')
        await socket.recv()
        for again in SOCKETS:
            async with live.connect(f"{again.format(order=order)}?ticket={ticket}", origin=False) as second:
                assert (await close_of(second))[0] == 4401


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_ticket_that_is_too_old_lets_nobody_in(live, order, owner, path):  # noqa: F811
    ticket = await in_thread(ticket_of, owner)
    await in_thread(execute, "UPDATE live_ticket SET expires_at = now() - interval '1 second'")
    async with live.connect(f"{path.format(order=order)}?ticket={ticket}", origin=False) as socket:
        assert (await close_of(socket))[0] == 4401


async def test_anothers_ticket_does_not_open_an_order(live, order, other):  # noqa: F811
    ticket = await in_thread(ticket_of, other)
    async with live.connect(f"/ws/orders/{order}?ticket={ticket}", origin=False) as socket:
        assert (await close_of(socket))[0] == 4404


@pytest.mark.parametrize("path", FEEDS)
async def test_a_feed_tells_of_ones_own_orders_only(live, order, other, path):  # noqa: F811
    ticket, own = await in_thread(ticket_of, other), await in_thread(make_quiet_order, other)
    async with live.connect(f"{path}?ticket={ticket}&after=0", origin=False) as socket:
        await in_thread(something_happens, order, own)
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1].get("sequence") != 2:
            heard.append(await next_message(socket))
    assert {told["orderId"] for told in heard if "orderId" in told} == {own}


@pytest.mark.parametrize("path", FEEDS)
async def test_staff_hear_of_all_orders(live, order, path):  # noqa: F811
    ticket = await in_thread(ticket_of, await in_thread(make_user, is_staff=True))
    async with live.connect(f"{path}?ticket={ticket}&after=0", origin=False) as socket:
        told = await next_message(socket)
        while "orderId" not in told:
            told = await next_message(socket)
    assert told["orderId"] == order
