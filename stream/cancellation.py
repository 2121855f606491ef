"""A cancellation that got lost: before Python 3.12 `asyncio.wait_for`, which nats-py uses, may swallow one."""

import asyncio


def honour_cancellation() -> None:
    """Raise CancelledError if this task was asked to end and did not hear of it. For loops that go on for good."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
