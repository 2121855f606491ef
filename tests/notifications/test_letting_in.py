"""Who may open a socket, from where, and for how long."""

import pytest
from django.test import Client
from websockets.exceptions import InvalidStatus

from database.prepared import execute
from live import tickets
from live.access import Credential
from tests.factories import make_user
from tests.notifications.conftest import cookie_of, log_out, token_of
from tests.notifications.factories import make_quiet_order
from tests.notifications.live_server import close_of, next_message
from tests.notifications.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_nobody_in_particular_is_closed_with_4401(live):
    async with live.connect("/ws/orders") as socket:
        assert (await close_of(socket))[0] == 4401


async def test_a_made_up_token_is_closed_with_4401(live):
    async with live.connect("/ws/orders", authorization="Token made-up") as socket:
        assert (await close_of(socket))[0] == 4401


async def test_in_demo_mode_nobody_in_particular_is_the_demo_customer(start_live):
    live = await in_thread(start_live, DEBUG="1", DEMO="1")
    demo = await in_thread(make_user, "demo")
    order_id = await in_thread(make_quiet_order, demo)
    others = await in_thread(make_quiet_order, await in_thread(make_user, "other"))
    async with live.connect(f"/ws/orders/{order_id}", origin=False) as socket:
        assert (await next_message(socket))["orderId"] == order_id
    async with live.connect(f"/ws/orders/{others}", origin=False) as socket:
        assert (await close_of(socket))[0] == 4404


async def test_a_page_of_this_site_comes_in_with_its_login(live, alice):
    async with live.connect("/ws/orders", cookie=await in_thread(cookie_of, alice)) as socket:
        assert (await next_message(socket))["type"] == "Ready"


async def test_a_page_of_another_site_is_turned_away(live, alice):
    cookie = await in_thread(cookie_of, alice)
    for origin in ("http://evil.example", f"https://{live.host}", "null"):
        with pytest.raises(InvalidStatus) as refused:
            await live.connect("/ws/orders", origin=False, cookie=cookie, Origin=origin)
        assert refused.value.response.status_code == 403


async def test_a_trusted_site_comes_in(start_live, alice):
    live = await in_thread(start_live, CSRF_TRUSTED_ORIGINS="https://shop.example,https://*.shop.example")
    cookie = await in_thread(cookie_of, alice)
    for origin in ("https://shop.example", "https://eu.shop.example"):
        async with live.connect("/ws/orders", origin=False, cookie=cookie, Origin=origin) as socket:
            assert (await next_message(socket))["type"] == "Ready"
    with pytest.raises(InvalidStatus):
        await live.connect(
            "/ws/orders", origin=False, cookie=cookie, Origin="https://eu.shop.example.evil.example"
        )


async def test_a_script_without_an_origin_comes_in_by_token_and_not_by_cookie(live, alice):
    token = await in_thread(token_of, alice)
    async with live.connect("/ws/orders", origin=False, authorization=token) as socket:
        assert (await next_message(socket))["type"] == "Ready"
    async with live.connect("/ws/orders", origin=False, cookie=await in_thread(cookie_of, alice)) as socket:
        assert (await close_of(socket))[0] == 4401


async def test_another_hosts_name_is_turned_away(start_live, alice):
    live = await in_thread(start_live, ALLOWED_HOSTS="shop.example")
    with pytest.raises(InvalidStatus) as refused:
        await live.connect("/ws/orders", authorization=await in_thread(token_of, alice))
    assert refused.value.response.status_code == 403


async def test_a_ticket_opens_one_socket(live, alice):
    ticket = (await in_thread(_ticket_of, alice))["ticket"]
    async with live.connect(f"/ws/orders?ticket={ticket}", origin=False) as socket:
        assert (await next_message(socket))["type"] == "Ready"
    for used_or_made_up in (ticket, "made-up", ""):
        async with live.connect(f"/ws/orders?ticket={used_or_made_up}", origin=False) as socket:
            assert (await close_of(socket))[0] == 4401


def test_a_ticket_is_good_for_half_a_minute(alice):
    ticket = tickets.issue(Credential("account", str(alice.pk)))
    ((left,),) = execute("SELECT extract(epoch FROM expires_at - now())::float8 FROM live_ticket")
    assert 0 < left <= 30
    assert tickets.redeem(ticket) == Credential("account", str(alice.pk))
    assert tickets.redeem(ticket) is None


def test_a_ticket_takes_a_login(client):
    assert client.post("/api/live/tickets", content_type="application/json").status_code == 401


def test_a_ticket_that_nobody_redeemed_is_cleared_away_by_the_next_one(alice):
    tickets.issue(Credential("account", str(alice.pk)))
    execute("UPDATE live_ticket SET expires_at = now() - interval '1 second'")
    tickets.issue(Credential("account", str(alice.pk)))
    assert execute("SELECT count(*) FROM live_ticket") == [(1,)]


def test_while_they_cannot_be_stored_there_are_no_tickets_for_now(alice):
    execute("ALTER TABLE live_ticket RENAME TO live_ticket_away")
    try:
        response = _client_of(alice).post("/api/live/tickets", content_type="application/json")
    finally:
        execute("ALTER TABLE live_ticket_away RENAME TO live_ticket")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "temporarily_unavailable")
    assert response["Retry-After"] == "1"


async def test_who_logs_out_is_closed_with_4401_soon_after(start_live, alice):
    live = await in_thread(start_live, LIVE_LOGIN_CHECK_INTERVAL="0.2")
    cookie, ticket = await in_thread(cookie_of, alice), (await in_thread(_ticket_of, alice))["ticket"]
    async with (
        live.connect("/ws/orders", cookie=cookie) as by_session,
        live.connect(f"/ws/orders?ticket={ticket}") as by_ticket,
    ):
        assert (await next_message(by_session))["type"] == "Ready"
        assert (await next_message(by_ticket))["type"] == "Ready"
        await in_thread(log_out, cookie)
        assert (await close_of(by_session))[0] == 4401
        assert by_ticket.close_code is None  # it stands for another login
        alice.is_active = False
        await in_thread(alice.save)
        assert (await close_of(by_ticket))[0] == 4401


async def test_an_account_may_hold_only_so_many_sockets(start_live, alice, staff):
    live = await in_thread(start_live, LIVE_SOCKETS_PER_CUSTOMER="2")
    token = await in_thread(token_of, alice)
    async with (
        live.connect("/ws/orders", authorization=token) as first,
        live.connect("/ws/orders", authorization=token) as second,
    ):
        assert [(await next_message(socket))["type"] for socket in (first, second)] == ["Ready", "Ready"]
        async with live.connect("/ws/orders", authorization=token) as third:
            assert (await close_of(third))[0] == 4429
        async with live.connect("/ws/orders", authorization=await in_thread(token_of, staff)) as another:
            assert (await next_message(another))["type"] == "Ready"
        await first.close()
        async with live.connect("/ws/orders", authorization=token) as third:
            assert (await next_message(third))["type"] == "Ready"


async def test_who_talks_too_much_is_closed_with_4429(live, alice):
    async with live.connect("/ws/orders", authorization=await in_thread(token_of, alice)) as socket:
        for _ in range(30):
            await socket.send('{"type": "Ping"}')
        assert (await close_of(socket))[0] == 4429


async def test_who_sends_something_huge_is_closed_with_1009(live, alice):
    async with live.connect("/ws/orders", authorization=await in_thread(token_of, alice)) as socket:
        await socket.send("x" * 10_000)
        assert (await close_of(socket))[0] == 1009


@pytest.mark.parametrize("said", ["", "nonsense", "[]", "1", '{"type": 5}', "[" * 4000])
async def test_nonsense_is_not_answered(live, alice, said):
    async with live.connect("/ws/orders", authorization=await in_thread(token_of, alice)) as socket:
        assert (await next_message(socket))["type"] == "Ready"
        await socket.send(said)
        await socket.send('{"type": "Ping"}')
        assert (await next_message(socket)) == {"type": "Pong"}


def _client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _ticket_of(user):
    response = Client().post(
        "/api/live/tickets", content_type="application/json", headers={"Authorization": token_of(user)}
    )
    assert response.status_code == 201
    return response.json()
