"""Servers that the system calls, and that drip their answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from attacks.scene import Scene, attack
from chaos.receivers import Receiver

SUBSCRIBE = """
    INSERT INTO notifications_subscription (url, secret, events, active)
    VALUES (%s, 'whsec_of_the_campaign', '{order_placed}', true)
"""
DRIPPING = 6  # together they could hold more calls than one process makes at once
MOST_CALLS = 4 + 1  # at once to one receiver, and one that it has not noticed to be over
DRIP_SECONDS = 0.2
ARRIVAL_SECONDS = 60.0


@attack("receivers", f"{DRIPPING} receivers of webhooks that never end the head of their answer")
async def receivers(scene: Scene) -> None:
    well, dripping = Receiver(drips=False), [Receiver(drips=True) for _ in range(DRIPPING)]
    async with _subscribed(scene, [well, *dripping]):
        async with scene.honest():
            await asyncio.sleep(scene.seconds)
        wanted = len(scene.seen.placed)
        await scene.target.until(lambda: well.calls >= wanted, seconds=ARRIVAL_SECONDS)
        most = max(receiver.most_open for receiver in dripping)
    scene.expect(well.calls >= wanted, f"the receiver that answers got {well.calls} of {wanted} webhooks")
    scene.expect(most <= MOST_CALLS, f"{most} calls at once hung at one receiver")
    scene.notes.append(f"{well.calls} webhooks taken, {sum(r.calls for r in dripping)} dripped")


@contextlib.asynccontextmanager
async def _subscribed(scene: Scene, all_of_them: list[Receiver]) -> AsyncIterator[None]:
    for receiver in all_of_them:
        await receiver.start()
        await asyncio.to_thread(scene.target.do, SUBSCRIBE, receiver.url)
    try:
        yield
    finally:
        await asyncio.to_thread(scene.target.do, "UPDATE notifications_subscription SET active = false")
        for receiver in all_of_them:
            await receiver.stop()


@attack("provider", "the payment provider drips its answers, head and body, for half of the time")
async def provider(scene: Scene) -> None:
    target = scene.target
    await target.restart("worker-payments", **target.through_proxies("sandbox"))
    await target.until_ready()
    async with scene.honest():
        target.proxies["sandbox"].drip = DRIP_SECONDS
        await asyncio.sleep(scene.seconds / 2)
        target.proxies["sandbox"].heal()
        await asyncio.sleep(scene.seconds / 2)
