"""The live feed through a real server, on real sockets: what is told, to whom, and in which order."""

import asyncio
import random
import threading
from typing import Any

import pytest
from django.db import connections, transaction
from websockets.exceptions import ConnectionClosed, InvalidMessage

from orders import wakeup
from orders.models import Journey, Order
from tests.factories import make_user
from tests.notifications.conftest import token_of
from tests.notifications.factories import it_waits, make_quiet_order, make_quiet_orders, something_happens
from tests.notifications.live_server import LiveServer, close_of, next_message, next_messages
from tests.notifications.threads import in_thread
from tests.orders.test_newer_events import NEWER, append_newer_event

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_tells_an_order_from_where_it_stands(live, alice):
    order_id, token = await in_thread(make_quiet_order, alice), await in_thread(token_of, alice)
    async with live.connect(f"/ws/orders/{order_id}", authorization=token) as socket:
        snapshot = await next_message(socket)
        assert (snapshot["type"], snapshot["status"], snapshot["sequence"]) == ("OrderSnapshot", "Pending", 1)
        await in_thread(something_happens, order_id)
        told = await next_message(socket)
        assert (told["type"], told["sequence"], told["orderId"]) == ("OrderProcessingProgress", 2, order_id)


async def test_an_event_of_a_newer_release_reaches_sockets_as_progress(live, alice):
    order_id, token = await in_thread(make_quiet_order, alice), await in_thread(token_of, alice)
    await in_thread(something_happens, order_id)
    async with live.connect(f"/ws/orders/{order_id}?after=1", authorization=token) as socket:
        await next_message(socket)
        await in_thread(_append_newer_event, order_id)
        told = await next_message(socket)
        assert (told["type"], told["event"]) == ("OrderProcessingProgress", NEWER)
    async with live.connect("/ws/orders?after=0", authorization=token) as socket:
        assert [each["event"] for each in await next_messages(socket, 3)][-1] == NEWER


async def test_it_finds_an_order_by_uuid_and_by_number(live, alice):
    order = await in_thread(_placed_order, alice)
    token = await in_thread(token_of, alice)
    for reference in (order.uuid, order.number):
        async with live.connect(f"/ws/orders/{reference}", authorization=token) as socket:
            assert (await next_message(socket))["orderId"] == order.pk


async def test_it_replays_what_follows_a_sequence_and_goes_on_live(live, alice):
    order_id, token = await in_thread(make_quiet_order, alice), await in_thread(token_of, alice)
    await in_thread(something_happens, order_id, times=4)
    async with live.connect(f"/ws/orders/{order_id}?after=2", authorization=token) as socket:
        assert [told["sequence"] for told in await next_messages(socket, 3)] == [3, 4, 5]
        await in_thread(it_waits, order_id)
        assert (await next_message(socket))["sequence"] == 6


async def test_a_feed_begins_with_its_position_and_goes_on_after_one(live, alice):
    token, order_id = await in_thread(token_of, alice), await in_thread(make_quiet_order, alice)
    async with live.connect("/ws/orders", authorization=token) as socket:
        ready = await next_message(socket)
        assert ready["type"] == "Ready"
        await in_thread(something_happens, order_id)
        told = await next_message(socket)
    await in_thread(something_happens, order_id, times=2)
    async with live.connect(f"/ws/orders?after={told['position']}", authorization=token) as socket:
        assert [each["sequence"] for each in await next_messages(socket, 2)] == [3, 4]
    async with live.connect(f"/ws/orders?after={ready['position']}", authorization=token) as socket:
        assert [each["sequence"] for each in await next_messages(socket, 3)] == [2, 3, 4]


async def test_a_bare_zero_replays_from_the_beginning(live, alice):
    token, order_id = await in_thread(token_of, alice), await in_thread(make_quiet_order, alice)
    async with live.connect("/ws/orders?after=0", authorization=token) as socket:
        told = await next_message(socket)
        assert (told["type"], told["orderId"], told["status"]) == ("OrderCreated", order_id, "Pending")


async def test_customers_hear_of_their_own_orders_and_staff_of_all(live, alice, staff):
    bob = await in_thread(make_user, "bob")
    async with (
        live.connect("/ws/orders", authorization=await in_thread(token_of, alice)) as hers,
        live.connect("/ws/orders", authorization=await in_thread(token_of, staff)) as everybodys,
    ):
        assert [(await next_message(socket))["type"] for socket in (hers, everybodys)] == ["Ready", "Ready"]
        bobs, alices = await in_thread(make_quiet_order, bob), await in_thread(make_quiet_order, alice)
        assert (await next_message(hers))["orderId"] == alices
        assert [told["orderId"] for told in await next_messages(everybodys, 2)] == [bobs, alices]


async def test_a_batch_feed_puts_what_came_together_into_one_frame(live, alice):
    token, order_id = await in_thread(token_of, alice), await in_thread(make_quiet_order, alice)
    await in_thread(something_happens, order_id, times=3)
    async with live.connect("/ws/orders?after=0&batch=1", authorization=token) as socket:
        frame: Any = await next_message(socket)
        assert [told["sequence"] for told in frame] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "path", ["/ws/orders/{order}", "/ws/orders/999999", "/ws/orders/no-order", "/ws/other", "/"]
)
async def test_what_is_not_there_or_not_ones_own_is_closed_with_4404(live, alice, path):
    order_id = await in_thread(make_quiet_order, await in_thread(make_user, "bob"))
    token = await in_thread(token_of, alice)
    async with live.connect(path.format(order=order_id), authorization=token) as socket:
        assert (await close_of(socket))[0] == 4404


@pytest.mark.parametrize(
    "path",
    ["/ws/orders?after=x", "/ws/orders?after=1-2", "/ws/orders?after=999999999999-0-0", "/ws/orders?after="],
)
async def test_a_position_that_is_none_is_closed_with_4400(live, alice, path):
    async with live.connect(path, authorization=await in_thread(token_of, alice)) as socket:
        assert (await close_of(socket))[0] == 4400


async def test_nothing_is_missed_or_repeated_while_events_are_being_written(live, alice, staff):
    """Sockets join one after the other while threads write to the same orders."""
    orders = await in_thread(make_quiet_orders, alice, 3)
    hers, everybodys = await in_thread(token_of, alice), await in_thread(token_of, staff)
    rounds, writers = 40, 4
    writing = asyncio.gather(*(_write(orders, rounds, seed) for seed in range(writers)))
    last = dict.fromkeys(orders, 1 + rounds * writers)
    reading = [
        _read_order(live, order_id, hers, until=last[order_id]) for order_id in orders for _ in range(3)
    ] + [_read_feed(live, token, total=sum(last.values())) for token in (hers, everybodys) for _ in range(3)]
    told = await asyncio.gather(*(_after(delay * 0.05, each) for delay, each in enumerate(reading)))
    await writing
    for sequences in told[: 3 * len(orders)]:
        assert sequences == list(range(1, last[orders[0]] + 1))
    for events in told[3 * len(orders) :]:
        for order_id in orders:
            told_of_it = [sequence for order, sequence in events if order == order_id]
            assert told_of_it == list(range(1, last[order_id] + 1))


async def test_a_client_that_keeps_losing_its_connection_and_its_server_misses_nothing(start_live, alice):
    live = await in_thread(start_live)
    orders = await in_thread(make_quiet_orders, alice, 3)
    token = await in_thread(token_of, alice)
    rounds = 150
    writing = asyncio.create_task(_write(orders, rounds, seed=1, pause=0.02))
    feed = asyncio.create_task(_resume_feed(live, token, total=len(orders) * (rounds + 1)))
    order = asyncio.create_task(_resume_order(live, token, orders[0], last=rounds + 1))
    await asyncio.sleep(1)
    await in_thread(live.kill)
    await in_thread(live.start)
    await writing
    events = await feed
    assert await order == list(range(1, rounds + 2))
    for order_id in orders:
        assert [sequence for each, sequence in events if each == order_id] == list(range(1, rounds + 2))


async def test_events_of_one_order_come_in_sequence_though_their_transactions_overlap(live, alice):
    """The older transaction gets to the order after the younger one has ended."""
    first, second = await in_thread(make_quiet_orders, alice, 2)
    async with live.connect("/ws/orders", authorization=await in_thread(token_of, alice)) as socket:
        await next_message(socket)
        await in_thread(_overlap, first, second)
        told = [(each["orderId"], each["sequence"]) for each in await next_messages(socket, 3)]
    assert [sequence for order_id, sequence in told if order_id == second] == [2, 3]


# --- Reading and writing at the same time -----------------------------------------------------------------


async def _after(seconds, work):
    await asyncio.sleep(seconds)
    return await work


async def _write(orders, rounds, seed, pause=0.0):
    chance = random.Random(seed)
    for _ in range(rounds):
        some = orders[:] if chance.random() < 0.5 else None
        for group in [some] if some else [[order_id] for order_id in orders]:
            await in_thread(something_happens, *group)
        await asyncio.sleep(pause)


async def _read_order(live, order_id, token, *, until):
    sequences: list[int] = []
    async with live.connect(f"/ws/orders/{order_id}?after=0", authorization=token) as socket:
        while not sequences or sequences[-1] < until:
            sequences.append((await next_message(socket))["sequence"])
    return sequences


async def _read_feed(live, token, *, total):
    events: list[tuple[int, int]] = []
    async with live.connect("/ws/orders?after=0", authorization=token) as socket:
        while len(events) < total:
            told = await next_message(socket)
            events.append((told["orderId"], told["sequence"]))
    return events


async def _resume_feed(live, token, *, total):
    seen: list[dict[str, Any]] = []
    path = lambda: f"/ws/orders?after={seen[-1]['position'] if seen else 0}"  # noqa: E731
    async for told in _unreliable(live, path, token):
        seen.append(told)
        if len(seen) == total:
            break
    return [(told["orderId"], told["sequence"]) for told in seen]


async def _resume_order(live, token, order_id, *, last):
    sequences = [0]
    async for told in _unreliable(live, lambda: f"/ws/orders/{order_id}?after={sequences[-1]}", token):
        sequences.append(told["sequence"])
        if sequences[-1] == last:
            break
    return sequences[1:]


async def _unreliable(live: LiveServer, path, token):
    """Yield messages over connections that are cut off after a few hundred milliseconds each."""
    chance = random.Random(7)
    while True:
        try:
            async with live.connect(path(), authorization=token) as socket:
                end = asyncio.get_running_loop().time() + chance.uniform(0.05, 0.4)
                while True:
                    async with asyncio.timeout_at(end):
                        told = await next_message(socket)
                    yield told
        except TimeoutError:
            socket.transport.abort()
        except (ConnectionClosed, InvalidMessage, OSError):
            await asyncio.sleep(0.05)


def _overlap(first, second):
    with transaction.atomic():
        held = Journey.objects.lock([first])

        def younger():
            something_happens(second, announce=False)
            connections.close_all()

        thread = threading.Thread(target=younger)
        thread.start()
        thread.join()
        states = [*held, *Journey.objects.lock([second])]
        for state in states:
            state.retry()
        Journey.objects.save_all(states)


def _placed_order(owner):
    return Order.objects.get(pk=make_quiet_order(owner))


def _append_newer_event(order_id):
    append_newer_event(order_id)
    wakeup.announce_events()
