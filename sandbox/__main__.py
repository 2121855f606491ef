"""`python -m sandbox`: providers on $SANDBOX_HOST:$SANDBOX_PORT, ledger in $SANDBOX_DATA."""

import os
import signal
import sys
import threading
from pathlib import Path

import uvicorn

from sandbox.app import create_app
from sandbox.connections import HangUpProtocol


def main() -> None:
    if "--until-stdin-closes" in sys.argv:
        threading.Thread(target=stop_when_stdin_closes, daemon=True).start()
    app = create_app(
        data=Path(os.environ.get("SANDBOX_DATA", ".data/sandbox")),
        catalogue=Path(os.environ.get("SANDBOX_CATALOGUE", "inventory/catalogue.csv")),
    )
    uvicorn.run(
        app,
        host=os.environ.get("SANDBOX_HOST", "127.0.0.1"),
        port=port(),
        http=HangUpProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        # longer than clients keep idle connections
        timeout_keep_alive=120,
        # Delayed answers must not delay the shutdown.
        timeout_graceful_shutdown=2,
    )


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
