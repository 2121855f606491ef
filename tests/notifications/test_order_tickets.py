"""Tickets of one order: a shop's page follows it without an account, and sees nothing else."""

from datetime import timedelta

import pytest
from django.test import Client
from websockets.exceptions import InvalidStatus

from orders.http import links
from orders.models import Order
from scheduling.slots import database_now
from tests.factories import make_user
from tests.notifications.conftest import token_of
from tests.notifications.factories import make_quiet_order, something_happens
from tests.notifications.live_server import close_of, next_message
from tests.notifications.test_signalr import HANDSHAKE, records
from tests.notifications.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def ticket_of(user, order_id: int) -> str:
    answer = _post(f"/api/orders/{order_id}/ticket", {}, Authorization=token_of(user))
    assert answer.status_code == 201
    return answer.json()["ticket"]


def renewed(ticket: str):
    return _post("/api/live/tickets/renew", {"ticket": ticket})


def _post(path, body, **headers):
    return Client().post(path, body, content_type="application/json", headers=headers)


async def test_it_opens_the_orders_socket_as_often_as_needed_and_no_others(live, alice):
    order_id = await in_thread(make_quiet_order, alice)
    another = await in_thread(make_quiet_order, alice)
    ticket = await in_thread(ticket_of, alice, order_id)
    for _ in range(2):
        async with live.connect(f"/ws/orders/{order_id}?ticket={ticket}", origin=False) as socket:
            assert (await next_message(socket))["orderId"] == order_id
    async with live.connect(f"/ws/orders/{another}?ticket={ticket}", origin=False) as socket:
        assert (await close_of(socket))[0] == 4404


async def test_feed_and_hub_give_only_that_orders_messages_missed_ones_included(live, alice):
    order_id = await in_thread(make_quiet_order, alice)
    another = await in_thread(make_quiet_order, alice)
    ticket = await in_thread(ticket_of, alice, order_id)
    async with live.connect(f"/ws/orders?after=0&ticket={ticket}", origin=False) as feed:
        assert ((created := await next_message(feed))["orderId"], created["type"]) == (
            order_id,
            "OrderCreated",
        )
        async with live.connect("/orderHub", origin=False, authorization=f"Bearer {ticket}") as hub:
            await hub.send(HANDSHAKE)
            assert await records(hub) == [{}]
            await in_thread(something_happens, another)
            await in_thread(something_happens, order_id)
            (told,) = await records(hub)
            assert told["arguments"][-1]["orderId"] == order_id
        assert (await next_message(feed))["orderId"] == order_id


async def test_signalr_clients_send_an_api_token_as_bearer_or_in_the_query(live, alice):
    token = (await in_thread(token_of, alice)).removeprefix("Token ")
    for path, headers in (
        ("/orderHub", {"authorization": f"Bearer {token}"}),
        (f"/orderHub?access_token={token}", {}),
    ):
        async with live.connect(path, origin=False, **headers) as hub:
            await hub.send(HANDSHAKE)
            assert await records(hub) == [{}]
            order_id = await in_thread(make_quiet_order, alice)
            (told,) = await records(hub)
            assert told["arguments"][0] == order_id


async def test_a_page_of_an_allowed_origin_comes_in_with_a_ticket_and_not_with_a_cookie(start_live, alice):
    live = await in_thread(start_live, CORS_ALLOWED_ORIGINS="https://shop.example")
    order_id = await in_thread(make_quiet_order, alice)
    ticket = await in_thread(ticket_of, alice, order_id)
    path = f"/ws/orders/{order_id}"
    async with live.connect(f"{path}?ticket={ticket}", origin=False, Origin="https://shop.example") as socket:
        assert (await next_message(socket))["orderId"] == order_id
    client = Client()
    await in_thread(client.force_login, alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    async with live.connect(path, origin=False, cookie=cookie, Origin="https://shop.example") as socket:
        assert (await close_of(socket))[0] == 4401
    with pytest.raises(InvalidStatus):
        await live.connect(f"{path}?ticket={ticket}", origin=False, Origin="https://evil.example")


async def test_revoking_closes_open_sockets_and_ends_every_link(start_live, alice):
    live = await in_thread(start_live, LIVE_LOGIN_CHECK_INTERVAL="0.2")
    order_id = await in_thread(make_quiet_order, alice)
    ticket = await in_thread(ticket_of, alice, order_id)
    async with live.connect(f"/ws/orders/{order_id}?ticket={ticket}", origin=False) as socket:
        await next_message(socket)
        login = {"Authorization": await in_thread(token_of, alice)}
        await in_thread(Client().delete, f"/api/orders/{order_id}/ticket", headers=login)
        assert (await close_of(socket))[0] == 4401
    assert (await in_thread(renewed, ticket)).json()["error"]["code"] == "invalid_ticket"
    assert (await in_thread(ticket_of, alice, order_id)) != ticket


def test_it_is_renewed_without_an_account_also_after_it_expired_but_not_for_ever(alice):
    order = Order.objects.get(pk=make_quiet_order(alice))
    now = database_now()
    expired = links.live_ticket(order, now=now - timedelta(hours=1))
    with pytest.raises(links.ExpiredLink):
        links.read(expired.sign(), now=now)
    fresh = renewed(expired.sign())
    assert (fresh.status_code, fresh.json()["orderId"]) == (201, order.pk)
    assert links.read(fresh.json()["ticket"], now=now).renewable_until == expired.renewable_until
    for old in (
        links.live_ticket(order, now=now - timedelta(hours=25)).sign(),
        "made-up",
        expired.sign()[:-1] + "A",
    ):
        assert renewed(old).status_code == 403


def test_strangers_get_no_ticket_and_a_ticket_is_no_api_token(alice):
    order_id = make_quiet_order(alice)
    path = f"/api/orders/{order_id}/ticket"
    assert _post(path, {}, Authorization=token_of(make_user())).status_code == 404
    by_ticket = f"Bearer {ticket_of(alice, order_id)}"
    assert Client().get(f"/api/orders/{order_id}", headers={"Authorization": by_ticket}).status_code == 401


def test_a_former_key_still_reads_links_during_a_rotation(alice, settings):
    order = Order.objects.get(pk=make_quiet_order(alice))
    value = links.track_token(order.pk, order.placed_at)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another" * 8, [settings.SECRET_KEY]
    assert links.read(value, now=database_now()).order_id == order.pk
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(links.InvalidLink):
        links.read(value, now=database_now())
