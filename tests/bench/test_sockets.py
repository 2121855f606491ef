"""The listeners of the live feed's benchmark, against the server of the `websockets` library."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from websockets.sync.server import Server, ServerConnection, serve

from bench.sockets import SocketJob, Told


def event(sequence: int, kind: str = "stock_reserved", order: int = 7) -> str:
    return json.dumps(
        {"type": "X", "orderId": order, "sequence": sequence, "event": kind}, separators=(",", ":")
    )


@contextmanager
def server(tell: Callable[[ServerConnection], object]) -> Iterator[Server]:
    def handle(socket: ServerConnection) -> None:
        tell(socket)

    with serve(handle, "127.0.0.1", 0, compression=None) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def told_by(running: Server, *, sockets: int = 1, confirmations: int = 1, seconds: float = 5.0) -> Told:
    job = SocketJob(
        running.socket.getsockname()[1], "a-token", ["/ws/orders"] * sockets, confirmations, seconds
    )
    done = subprocess.run(
        [sys.executable, "-m", "bench.sockets"],
        input=json.dumps(asdict(job)) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    first, _, rest = done.stdout.partition("\n")
    assert first == "open"
    return Told(**json.loads(rest))


def test_it_notes_what_each_socket_was_told_and_ends_when_all_know():
    def tell(socket: ServerConnection) -> None:
        assert socket.request
        assert socket.request.headers["Authorization"] == "Token a-token"
        for message in (event(1), event(2), event(3, "order_confirmed")):
            socket.send(message)
        socket.recv()

    with server(tell) as running:
        told = told_by(running, sockets=3)
    assert [tuple(message[:2]) for message in told.messages] == [(7, 1), (7, 2), (7, 3)] * 3
    assert (told.lost, told.repeated, told.closed) == (0, 0, 0)


def test_it_sees_what_is_missing_and_what_came_twice():
    def tell(socket: ServerConnection) -> None:
        for message in (event(1), event(4), event(4), event(5, "order_confirmed")):
            socket.send(message)
        socket.recv()

    with server(tell) as running:
        told = told_by(running)
    assert (told.lost, told.repeated) == (2, 1)


def test_it_answers_pings():
    def tell(socket: ServerConnection) -> None:
        assert socket.ping("are you there").wait(5)
        socket.send(event(1, "order_confirmed"))
        socket.recv()

    with server(tell) as running:
        assert len(told_by(running).messages) == 1


def test_it_gives_up_when_the_time_is_over():
    def tell(socket: ServerConnection) -> None:
        socket.send('{"type":"Ready","position":"1-0-0"}')
        socket.recv()

    with server(tell) as running:
        assert told_by(running, seconds=0.2).messages == []
