"""`python -m sandbox`: providers on $SANDBOX_HOST:$SANDBOX_PORT, ledger in $SANDBOX_DATA."""

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from sandbox.app import create_app
from sandbox.connections import HangUpProtocol


def main() -> None:
    if "--until-stdin-closes" in sys.argv:
        threading.Thread(target=stop_when_stdin_closes, daemon=True).start()
    app = create_app(
        data=Path(os.environ.get("SANDBOX_DATA", ".data/sandbox")),
        catalogue=Path(os.environ.get("SANDBOX_CATALOGUE", "inventory/catalogue.csv")),
    )
    configuration = uvicorn.Config(
        app,
        host=os.environ.get("SANDBOX_HOST", "127.0.0.1"),
        port=port(),
        http=HangUpProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,  # stderr, without a handler
        log_level="warning",
        # longer than clients keep idle connections
        timeout_keep_alive=120,
        # Delayed answers must not delay the shutdown.
        timeout_graceful_shutdown=2,
    )
    with suppress(KeyboardInterrupt):
        Server(configuration).run()


class Server(uvicorn.Server):
    """Waits for its stop signal, where uvicorn's own polls for it ten times a second."""

    async def main_loop(self) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            self.handle_exit(number, frame)
            loop.call_soon_threadsafe(stop.set)

        for number in HANDLED_SIGNALS:  # uvicorn restores them at its end
            signal.signal(number, on_signal)
        while not await self.on_tick(0):  # 0: renews the Date header
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stop.wait()


def port() -> int:
    text = os.environ.get("SANDBOX_PORT", "8090")
    if not (text.isdecimal() and 0 < int(text) < 65536):
        sys.exit(f"SANDBOX_PORT is a port number, not {text!r}.")
    return int(text)


def stop_when_stdin_closes() -> None:
    """Stop with the parent, which may die without a signal."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
