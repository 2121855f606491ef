"""/orderHub as SignalR's clients know it, byte by byte."""

import json

import pytest
import requests

from tests.notifications.conftest import token_of
from tests.notifications.factories import make_quiet_order, something_happens
from tests.notifications.live_server import close_of, next_message
from tests.notifications.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

END = "\x1e"
HANDSHAKE = json.dumps({"protocol": "json", "version": 1}) + END


def negotiate(live, query="?negotiateVersion=1"):
    response = requests.post(f"http://{live.host}/orderHub/negotiate{query}", timeout=10)
    assert response.status_code == 200
    return response.json()


async def records(socket):
    """Return the records of the next frame."""
    *whole, rest = (await socket.recv()).split(END)
    assert rest == ""
    return [json.loads(record) for record in whole]


async def test_it_offers_websockets_only(live):
    offer = await in_thread(negotiate, live)
    assert offer["availableTransports"] == [{"transport": "WebSockets", "transferFormats": ["Text"]}]
    assert offer["negotiateVersion"] == 1
    assert offer["connectionToken"]
    assert "connectionToken" not in await in_thread(negotiate, live, "")


async def test_it_calls_the_clients_methods_with_the_arguments_they_expect(live, alice):
    token = (await in_thread(negotiate, live))["connectionToken"]
    login = await in_thread(token_of, alice)
    async with live.connect(f"/orderHub?id={token}", authorization=login) as socket:
        await socket.send(HANDSHAKE)
        assert await records(socket) == [{}]
        order_id = await in_thread(make_quiet_order, alice)
        (created,) = await records(socket)
        assert (created["type"], created["target"], created["arguments"][0]) == (1, "OrderCreated", order_id)
        await in_thread(something_happens, order_id)
        (progressed,) = await records(socket)
        assert progressed["target"] == "OrderProcessingProgress"
        told_order, progress, message, whole = progressed["arguments"]
        assert (told_order, progress, message) == (order_id, 0, "The order is being tried again.")
        assert whole["sequence"] == 2


async def test_a_client_that_skips_the_negotiation_is_known_by_its_handshake(live, alice):
    async with live.connect("/orderHub", authorization=await in_thread(token_of, alice)) as socket:
        await socket.send(HANDSHAKE + json.dumps({"type": 6}) + END)
        assert await records(socket) == [{}]


async def test_a_client_without_a_handshake_gets_plain_messages(live, alice):
    async with live.connect("/orderHub", authorization=await in_thread(token_of, alice)) as socket:
        assert (await next_message(socket))["type"] == "Ready"


async def test_a_protocol_that_is_not_spoken_is_said_so_and_closed(live, alice):
    async with live.connect("/orderHub?id=x", authorization=await in_thread(token_of, alice)) as socket:
        await socket.send(json.dumps({"protocol": "messagepack", "version": 1}) + END)
        assert "error" in (await records(socket))[0]
        assert (await close_of(socket))[0] == 4400


async def test_a_call_of_the_hub_is_answered_with_an_error(live, alice):
    async with live.connect("/orderHub?id=x", authorization=await in_thread(token_of, alice)) as socket:
        await socket.send(HANDSHAKE)
        await records(socket)
        await socket.send(json.dumps({"type": 1, "target": "Do", "arguments": [], "invocationId": "7"}) + END)
        (answer,) = await records(socket)
        assert (answer["type"], answer["invocationId"]) == (3, "7")
        assert answer["error"]


async def test_a_client_is_told_why_it_is_closed(live, alice):
    async with live.connect(
        "/orderHub?id=x&after=junk", authorization=await in_thread(token_of, alice)
    ) as socket:
        await socket.send(HANDSHAKE)
        assert await records(socket) == [{}]
        (close_frame,) = await records(socket)
        assert (close_frame["type"], close_frame["allowReconnect"]) == (7, False)
        assert (await close_of(socket))[0] == 4400


async def test_a_client_that_says_goodbye_is_closed_normally(live, alice):
    async with live.connect("/orderHub?id=x", authorization=await in_thread(token_of, alice)) as socket:
        await socket.send(HANDSHAKE)
        assert await records(socket) == [{}]
        await socket.send(json.dumps({"type": 7}) + END)
        assert (await close_of(socket))[0] == 1000
