"""A server that answers every connection with the same bytes, whatever is asked."""

import socket
import threading


class RawServer:
    """Answers every connection with the same bytes, slowly if asked to, and hangs up."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.answer, self.then_drip = b"", b""
        self.calls = 0
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def serve(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=[connection], daemon=True).start()

    def converse(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            self.calls += 1
            try:
                connection.sendall(self.answer)
                while self.then_drip and not self.closing.wait(0.05):
                    connection.sendall(self.then_drip)
            except OSError:
                return  # the client has had enough

    def close(self) -> None:
        self.closing.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
