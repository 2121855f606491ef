"""A deadline for a whole HTTP exchange: connection, TLS, request and response together.

Socket timeouts restart with each byte, so a slow peer can hold a thread for ever. A watchdog thread shuts
down the sockets of overdue calls, which ends any `recv` or `send` on them. It keeps a duplicate of the
descriptor, because TLS takes the socket over and http.client closes its own early.

    with Deadline(5) as deadline:
        with deadline.sockets():
            response = session.send(...)
        read(response)

Name resolution counts but is not cut short: the system's resolver limits it.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from types import TracebackType
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError
from urllib3.util.connection import allowed_gai_family

from runtime.per_process import per_process

CUT_SHORT = (OSError, HTTPError, HTTPException, ValueError)


class DeadlinePassed(TimeoutError):
    """The exchange exceeded its deadline and was cut short."""


class Deadline:
    """Watches a socket inside `with`; leaving raises DeadlinePassed if it was cut."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self.has_passed = False
        self._twin: socket.socket | None = None

    def __enter__(self) -> "Deadline":
        _watchdog().watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _watchdog().release(self)
        had_connection = self._twin is not None
        self._replace_twin(None)
        if self.has_passed and had_connection and (error is None or isinstance(error, CUT_SHORT)):
            raise DeadlinePassed("The exchange did not end in time.") from error

    @property
    def seconds_left(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @contextmanager
    def sockets(self) -> Iterator[None]:
        before, _here.deadline = _current(), self
        try:
            yield
        finally:
            _here.deadline = before

    def attach(self, descriptor: int) -> None:
        _watchdog().attach(self, socket.socket(fileno=os.dup(descriptor)))

    def cut(self) -> None:
        self.has_passed = True
        if self._twin is not None:
            with suppress(OSError):  # the peer closed it first
                self._twin.shutdown(socket.SHUT_RDWR)

    def _replace_twin(self, twin: socket.socket | None) -> None:
        if self._twin is not None:
            self._twin.close()
        self._twin = twin


class _Watchdog:
    """One per process: sleeps until the next deadline."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._live: set[Deadline] = set()
        self._wakes_at = math.inf
        threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    def watch(self, deadline: Deadline) -> None:
        with self._change:
            self._live.add(deadline)
            if deadline.at < self._wakes_at:
                self._change.notify()

    def attach(self, deadline: Deadline, twin: socket.socket) -> None:
        with self._change:
            deadline._replace_twin(twin)
            if deadline.has_passed:
                deadline.cut()

    def release(self, deadline: Deadline) -> None:
        with self._change:
            self._live.discard(deadline)

    def _run(self) -> None:
        with self._change:
            while True:
                self._cut_late()
                self._wakes_at = min((deadline.at for deadline in self._live), default=math.inf)
                pause = None if self._wakes_at == math.inf else max(0.0, self._wakes_at - time.monotonic())
                self._change.wait(pause)

    def _cut_late(self) -> None:
        now = time.monotonic()
        for deadline in [each for each in self._live if each.at <= now]:
            self._live.discard(deadline)
            deadline.cut()


@per_process
def _watchdog() -> _Watchdog:
    return _Watchdog()


_here = threading.local()


def _current() -> Deadline | None:
    found: Deadline | None = getattr(_here, "deadline", None)
    return found


# --- Connections that attach themselves -------------------------------------------------------------------


class _Attached(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        deadline = _current()
        if deadline is None:
            return super()._new_conn()
        made = self._connect_to_one(deadline)
        deadline.attach(made.fileno())
        return made

    def request(self, *args: Any, **options: Any) -> None:
        deadline = _current()
        if deadline is not None and self.sock is not None:
            deadline.attach(self.sock.fileno())
        super().request(*args, **options)

    def _connect_to_one(self, deadline: Deadline) -> socket.socket:
        """urllib3 would allow each address the whole timeout."""
        name, wanted = self._dns_host, self.timeout
        addresses = self._addresses(name)
        try:
            for place, address in enumerate(addresses):
                self._dns_host = address
                self.timeout = min(wanted or math.inf, max(0.001, deadline.seconds_left))
                try:
                    return super()._new_conn()
                except HTTPError:
                    if place + 1 == len(addresses) or deadline.seconds_left <= 0:
                        raise
        finally:
            self._dns_host, self.timeout = name, wanted
        raise AssertionError("the last address returns or raises")

    def _addresses(self, name: str) -> list[str]:
        try:
            found = socket.getaddrinfo(name.strip("[]"), self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except UnicodeError as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _AttachedTls(_Attached, HTTPSConnection):
    """The same over TLS."""


class HttpPool(HTTPConnectionPool):
    """urllib3's pool, with deadlines."""

    ConnectionCls = _Attached


class HttpsPool(HTTPSConnectionPool):
    """urllib3's TLS pool, with deadlines."""

    ConnectionCls = _AttachedTls


POOLS = {"http": HttpPool, "https": HttpsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = POOLS
        return manager


def session(*, pool: int) -> requests.Session:
    """Return a session that keeps deadlines, with `pool` connections per host."""
    made = requests.Session()
    adapter = _Adapter(pool_connections=1, pool_maxsize=pool)
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    return made


def attach(made: socket.socket) -> None:
    deadline = _current()
    if deadline is not None:
        deadline.attach(made.fileno())


def fetch(method: str, url: str, *, seconds: float, **options: Any) -> requests.Response:
    """Return the complete answer to one call within `seconds`.

    Raises requests.RequestException, or DeadlinePassed.
    """
    with session(pool=1) as calls, Deadline(seconds) as deadline, deadline.sockets():
        return calls.request(method, url, timeout=seconds, **options)
