"""Connections to an engine through something in between: TLS, or a pooler that refuses start-up options."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

# What PgBouncer lets through without being told to ignore more.
POOLERS_PARAMETERS = {
    b"user",
    b"database",
    b"client_encoding",
    b"application_name",
    b"datestyle",
    b"timezone",
}
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104


@contextlib.contextmanager
def in_between(
    port: int, accept: Callable[[socket.socket], tuple[socket.socket, bytes] | None]
) -> Iterator[int]:
    """Yield a port whose connections go on to `port` once `accept` has returned what to send there first."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=connect, args=[client], daemon=True).start()

    def connect(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if (accepted := accept(client)) is None:
                return
            there, first = accepted
            server = socket.create_connection(("127.0.0.1", port))
            server.sendall(first)
            threading.Thread(target=pump, args=[server, there], daemon=True).start()
            pump(there, server)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def with_tls(context: ssl.SSLContext) -> Callable[[socket.socket], tuple[socket.socket, bytes]]:
    """Accept connections that speak TLS."""
    return lambda client: (context.wrap_socket(client, server_side=True), b"")


def like_a_pooler(client: socket.socket) -> tuple[socket.socket, bytes] | None:
    """Accept a PostgreSQL client, unless its start-up message has a parameter that PgBouncer refuses."""
    while True:
        head = client.recv(8, socket.MSG_WAITALL)
        size, code = struct.unpack("!II", head)
        if code not in (SSL_REQUEST, GSS_REQUEST):
            break
        client.sendall(b"N")
    body = client.recv(size - 8, socket.MSG_WAITALL)
    words = body.rstrip(b"\0").split(b"\0")
    if unknown := set(words[::2]) - POOLERS_PARAMETERS:
        refusal = b"SFATAL\0C08P01\0Munsupported startup parameter: " + b", ".join(sorted(unknown)) + b"\0\0"
        client.sendall(b"E" + struct.pack("!I", len(refusal) + 4) + refusal)
        client.close()
        return None
    return client, head + body
