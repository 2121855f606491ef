"""The live feed: slow readers, dying servers, lost notifications, strangers."""

import asyncio
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chaos.arena import Arena, row
from chaos.client import call
from chaos.followers import Follower
from chaos.rows.broker import disconnect

LATE_HINTS = 5.0


@row("F42", "WebSocket: a reader that stops reading during a burst", rate=40)
async def f42(arena: Arena) -> None:
    slow, quick = Follower(arena.rig, arena.dice), Follower(arena.rig, arena.dice)
    await slow.start()
    await quick.start()
    slow.paused.clear()
    arena.struck()
    await arena.sleep(12)
    slow.paused.set()
    await _compare(arena, slow, quick)


@row("F43", "WebSocket: the server killed every 10 s, the client reconnects every 2 s", rate=15)
async def f43(arena: Arena) -> None:
    followers = [Follower(arena.rig, arena.dice, reconnect_every=2.0) for _ in range(5)]
    for follower in followers:
        await follower.start()
    for _ in range(3):
        await arena.sleep(7)
        arena.struck()
        arena.rig.kill("live")
    await arena.sleep(5)
    await _compare(arena, *followers)


@row("F44", "WebSocket: hints lost, as the channel layer's subscriptions break every 0.4 s", rate=15)
async def f44(arena: Arena) -> None:
    follower = Follower(arena.rig, arena.dice)
    await follower.start()
    async for _ in arena.every(0.4, lasting=15):
        arena.struck()
        await asyncio.to_thread(disconnect, arena, "pubsub")
    began = time.monotonic()
    await _compare(arena, follower)
    arena.notes.append(f"level {time.monotonic() - began:.1f} s after the last event")


async def _compare(arena: Arena, *followers: Follower) -> None:
    await arena.load.stop()
    for follower in followers:
        arena.violations += await follower.violations()
        await follower.stop()
    told = sum(len(follower.seen) for follower in followers)
    arena.notes.append(
        f"{told} events told over {sum(follower.connects for follower in followers)} connections"
    )


@row("F45", "WebSocket: strangers, foreign origins, foreign orders, floods", rate=4)
async def f45(arena: Arena) -> None:
    base = f"ws://127.0.0.1:{arena.rig.live_port}"
    foreign = await _order_of_the_operator(arena)
    token = {"Authorization": "Token 0123456789012345678901234567890123456789"}
    arena.expect(await _closed_with(f"{base}/ws/orders", headers=token) == 4401, "a made-up token was let in")
    arena.expect(
        await _closed_with(f"{base}/ws/orders?ticket=made-up") == 4401, "a made-up ticket was let in"
    )
    arena.expect(
        await _closed_with(f"{base}/ws/orders/{foreign}?after=0") == 4404, "a foreign order was shown"
    )
    cross = await _closed_with(f"{base}/ws/orders", origin="http://evil.example")
    arena.expect(cross in (403, 4403), f"another site's page was let in: {cross}")
    arena.expect(await _closed_with(f"{base}/ws/orders", flood=200) == 4429, "a flood was not closed")
    arena.struck()
    arena.notes.append("5 ways in refused")


async def _order_of_the_operator(arena: Arena) -> int:
    token = await asyncio.to_thread(arena.rig.token_of, "operator")
    answer = await call(
        arena.rig.web_ports[0],
        "POST",
        "/api/orders",
        body={"customerName": f"{arena.load.tag}-staff", "items": [{"sku": "ACC-101", "quantity": 1}]},
        headers={"Authorization": f"Token {token}"},
    )
    return int(answer.json()["orderId"])


async def _closed_with(
    url: str, *, headers: dict[str, str] | None = None, origin: str | None = None, flood: int = 0
) -> int:
    """Return the close code, the refusal's status, or 0."""
    try:
        async with asyncio.timeout(5):
            async with connect(url, additional_headers=headers, origin=origin, proxy=None) as socket:  # type: ignore[arg-type]
                for _ in range(flood):
                    await socket.send('{"type": "Ping"}')
                async for _ in socket:
                    pass
                return socket.close_code or 0
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    except InvalidStatus as refused:
        return refused.response.status_code
    except TimeoutError:
        return 0
