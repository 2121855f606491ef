"""A loop ends although the cancellation was swallowed by what it was waiting for."""

import asyncio

from stream.cancellation import honour_cancellation


async def test_a_loop_ends_whose_cancellation_was_swallowed() -> None:
    waiting = asyncio.Event()

    async def swallow() -> None:
        waiting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async def loop() -> None:
        while True:
            honour_cancellation()
            await swallow()

    task = asyncio.create_task(loop())
    await waiting.wait()
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
