"""Database calls from the event loop, in threads with persistent connections."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

# Separate, so that connecting sockets cannot delay open ones.
JOURNAL_THREAD = ThreadPoolExecutor(1, thread_name_prefix="live-journal")
# Logins, snapshots and replays.
SOCKET_THREADS = ThreadPoolExecutor(3, thread_name_prefix="live-sockets")


async def ask(
    question: Callable[P, T], threads: ThreadPoolExecutor, /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return `question`'s result from a thread with a healthy connection."""

    def answer() -> T:
        close_old_connections()
        return question(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(threads, answer)
