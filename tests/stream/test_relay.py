"""The journal in the stream: every event exactly once and in order, whatever happens to the relay and to NATS."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from nats.aio.client import Client

from live.database_threads import ask
from orders import journal
from orders.journal import Position
from stream import check, definition
from stream.events import stream_event
from stream.publishing import NotStored, publish
from stream.relay import Relay
from stream.turn import RELAY_THREAD, Turn
from tests.factories import make_user
from tests.notifications.factories import make_quiet_orders, something_happens
from tests.notifications.threads import in_thread
from tests.stream.conftest import delete_stream, relaying, until_stored

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def orders(transactional_db) -> list[int]:
    return make_quiet_orders(make_user(), 5)


async def equal(client: Client) -> int:
    """Check that the stream is the journal, and return how many events it has."""
    difference = await check.compare(client)
    assert difference.is_none, str(difference)
    return difference.stream


async def events_after(position: Position = Position()) -> list[Any]:  # noqa: B008 - it is frozen
    return [stream_event(event) for event in await in_thread(journal.follow, position)]


async def test_every_event_comes_once_and_in_order(nats, orders) -> None:
    async with relaying(nats):
        await in_thread(something_happens, *orders, times=30)
        await until_stored(nats, 155)
    assert await equal(nats) == 155


async def test_a_relay_goes_on_where_the_stream_stands(nats, orders) -> None:
    async with relaying(nats):
        await until_stored(nats, 5)
    await in_thread(something_happens, *orders, times=3)
    async with relaying(nats):
        await until_stored(nats, 20)
    assert await equal(nats) == 20


async def test_a_writer_that_wakes_up_behind_its_successors_back_stores_nothing(nats, orders) -> None:
    # Under ids that the server has not seen: it remembers those of two minutes, and is not to be relied on for that.
    late = [replace(event, id=f"late-{event.id}") for event in (await events_after())[:2]]
    async with relaying(nats):
        await until_stored(nats, 5)
    with pytest.raises(NotStored):
        await publish(nats, late, behind=0)
    assert await equal(nats) == 5


async def test_two_relays_without_the_lock_store_every_event_once(nats, orders) -> None:
    class Anyones(Turn):
        def take(self) -> bool:
            return True

        def keep(self) -> None:
            return

    first, second = (Relay(nats, asyncio.Event(), turn=Anyones()) for _ in range(2))
    async with relaying(nats, first), relaying(nats, second):
        for _ in range(20):
            await in_thread(something_happens, *orders)
        await until_stored(nats, 105)
    assert await equal(nats) == 105


async def test_one_relay_is_active_and_another_takes_over(nats, orders) -> None:
    async with relaying(nats) as first:
        await until_stored(nats, 5)
        assert first.is_active
        other = Turn()
        assert not await ask(other.take, RELAY_THREAD)
        await ask(other.give_up, RELAY_THREAD)
    assert await ask(other.take, RELAY_THREAD)
    await ask(other.give_up, RELAY_THREAD)


async def test_a_stream_that_was_deleted_is_filled_again(nats, orders) -> None:
    async with relaying(nats):
        await until_stored(nats, 5)
        await delete_stream(nats)
        await in_thread(something_happens, *orders)
        await until_stored(nats, 10)
    assert await equal(nats) == 10


async def test_a_stream_whose_events_have_all_grown_too_old_goes_on_and_is_not_filled_again(
    nats, orders, settings
) -> None:
    async with relaying(nats):
        await until_stored(nats, 5)
        await _until_noted(nats)
    settings.STREAM_DAYS = 1 / 86_400
    await nats.jetstream().update_stream(definition.configuration())
    await _until_empty(nats)
    settings.STREAM_DAYS = 1
    await nats.jetstream().update_stream(definition.configuration())
    await in_thread(something_happens, *orders)
    async with relaying(nats):
        await until_stored(nats, 5)
    state = (await nats.jetstream().stream_info(definition.NAME)).state
    assert (state.first_seq, state.last_seq) == (6, 10)


async def _until_empty(client: Client) -> None:
    async with asyncio.timeout(20):
        while (await client.jetstream().stream_info(definition.NAME)).state.messages:  # noqa: ASYNC110 - NATS tells nobody
            await asyncio.sleep(0.05)


async def _until_noted(client: Client) -> Any:
    async with asyncio.timeout(10):
        while True:
            try:
                return await (await client.jetstream().key_value("relay")).get("position")
            except Exception:  # noqa: BLE001 - not yet
                await asyncio.sleep(0.02)


async def test_the_comparison_finds_what_is_missing_and_what_never_happened(nats, orders) -> None:
    async with relaying(nats):
        await until_stored(nats, 5)
    last = (await nats.jetstream().stream_info(definition.NAME)).state.last_seq
    (event, *_) = await events_after()
    await publish(nats, [type(event)("orders.1.1.made_up", "99999999-1-1", b"{}")], behind=last)
    await in_thread(something_happens, *orders)

    difference = await check.compare(nats)

    assert difference.unknown == ["99999999-1-1"]
    assert len(difference.missing) == 5


async def test_only_what_changes_the_status_is_exported_if_that_is_wanted(nats, orders, settings) -> None:
    settings.STREAM_EVENTS = "status"
    async with relaying(nats):
        await in_thread(something_happens, *orders)  # a retry, which changes no status
        await in_thread(make_quiet_orders, await in_thread(make_user), 1)
        await until_stored(nats, 6)
    assert await equal(nats) == 6


async def test_an_event_is_a_cloud_event_below_its_owner_and_order(nats, orders) -> None:
    async with relaying(nats):
        await until_stored(nats, 5)
    message = await nats.jetstream().get_msg(definition.NAME, seq=1)
    body = json.loads(message.data)
    (event, *_) = await in_thread(journal.follow, Position())
    assert message.subject == f"orders.{event.owner_id}.{orders[0]}.order_placed"
    assert (body["specversion"], body["id"]) == ("1.0", str(event.position))
    assert body["data"]["position"] == body["id"]
