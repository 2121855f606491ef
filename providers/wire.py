"""Calls on libcurl's multi interface: thousands on one thread, some 150 microseconds each.

Not thread-safe, except `wake`.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pycurl
import requests

from providers.answers import LARGEST_ANSWER
from providers.http import LONGEST_CONNECT_SECONDS, Call

# Before a connection exists: nothing was sent.
NO_CONNECTION = {pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT}


class Reply(NamedTuple):
    """The result of an exchange: a status, or an error text."""

    status: int
    body: bytes
    retry_after: float | None  # from the provider
    error: str
    was_sent: bool  # in part: it may have arrived
    seconds: float


@dataclass(frozen=True)
class Target:
    """A provider's address, with the environment's proxies and certificates."""

    base_url: str
    proxy: str
    verify: bool
    certificates: str

    @classmethod
    def of(cls, base_url: str) -> "Target":
        environment = requests.Session().merge_environment_settings(base_url, {}, None, None, None)
        proxies, verify = environment["proxies"], environment["verify"]
        proxy = requests.utils.select_proxy(base_url, proxies) or ""
        return cls(
            base_url,
            proxy,
            bool(verify),
            verify if isinstance(verify, str) else requests.utils.DEFAULT_CA_BUNDLE_PATH,
        )


class Wire:
    """Exchanges under way, and their shared connections."""

    def __init__(self, *, connections: int) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        # Those of `selectors` cost as much as the rest of an exchange: it registers three times.
        self._poller: Any = select.epoll() if hasattr(select, "epoll") else select.poll()
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)
        self._poller.register(self._ear, select.POLLIN)
        self._timer: float | None = None
        self._idle: dict[Target, deque[Any]] = {}
        self._open: dict[Any, tuple[Target, bytearray, Callable[[Reply], None]]] = {}

    def wake(self) -> None:
        """Interrupt `wait`; from any thread."""
        with suppress(BlockingIOError):
            os.write(self._mouth, b".")

    def begin(
        self,
        target: Target,
        call: Call,
        *,
        timeout: float,
        done: Callable[[Reply], None],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Begin an exchange of at most `timeout` seconds; `wait` calls `done`."""
        idle = self._idle.setdefault(target, deque())
        handle = idle.pop() if idle else _handle(target)
        body = bytearray()
        handle.setopt(pycurl.URL, _url(target.base_url, call))
        fields = call.headers | dict(headers)
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in fields.items()] + ["Expect:"])
        if call.body is None:
            handle.setopt(pycurl.HTTPGET, 1)
        else:
            handle.setopt(pycurl.POST, 1)
            handle.setopt(pycurl.POSTFIELDS, call.body)
        milliseconds = max(1, int(timeout * 1000))
        handle.setopt(pycurl.TIMEOUT_MS, milliseconds)
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, min(milliseconds, int(LONGEST_CONNECT_SECONDS * 1000)))
        handle.setopt(pycurl.WRITEFUNCTION, body.extend)
        self._open[handle] = target, body, done
        self._multi.add_handle(handle)

    def wait(self, seconds: float) -> None:
        """Wait for an event, a wake-up or the timeout; call what is done."""
        if self._timer is not None:
            seconds = min(seconds, self._timer - time.monotonic())
        for socket, events in self._poller.poll(max(0.0, seconds) * SECOND):
            if socket == self._ear:
                _drain(self._ear)
            else:
                self._multi.socket_action(socket, _action(events))
        if self._timer is not None and self._timer <= time.monotonic():
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._finish()

    def close(self) -> None:
        """Abandon all exchanges."""
        for handle in self._open:
            self._multi.remove_handle(handle)
        self._open.clear()
        self._multi.close()
        if hasattr(self._poller, "close"):
            self._poller.close()
        os.close(self._ear)
        os.close(self._mouth)

    def _finish(self) -> None:
        more = True
        while more:
            more, good, bad = self._multi.info_read()
            for handle in good:
                self._end(handle, 0, "")
            for handle, number, message in bad:
                self._end(handle, number, message)

    def _end(self, handle: Any, number: int, message: str) -> None:
        target, body, done = self._open.pop(handle)
        self._multi.remove_handle(handle)
        reply = _reply(handle, number, message, bytes(body))
        self._idle[target].append(handle)
        done(reply)

    # --- Called by libcurl ---

    def _watch(self, what: int, socket: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            with suppress(KeyError, OSError):
                self._poller.unregister(socket)
            return
        try:
            self._poller.modify(socket, _EVENTS[what])
        except FileNotFoundError:
            self._poller.register(socket, _EVENTS[what])

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000


_EVENTS = {
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
}
# The unit of a poller's timeout, in seconds: `poll` has milliseconds. Their events have the same numbers.
SECOND = 1 if hasattr(select, "epoll") else 1000


def _action(events: int) -> int:
    """Return libcurl's action; an error or a hang-up is one to read and to write."""
    can_read, can_write = events & ~select.POLLOUT, events & ~select.POLLIN
    return (pycurl.CSELECT_IN if can_read else 0) | (pycurl.CSELECT_OUT if can_write else 0)


def _handle(target: Target) -> Any:
    handle = pycurl.Curl()
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    handle.setopt(pycurl.FOLLOWLOCATION, 0)  # a redirected POST would become a GET
    handle.setopt(pycurl.MAXFILESIZE, LARGEST_ANSWER)
    handle.setopt(pycurl.PROXY, target.proxy)
    handle.setopt(pycurl.NOPROXY, "")
    handle.setopt(pycurl.SSL_VERIFYPEER, int(target.verify))
    handle.setopt(pycurl.SSL_VERIFYHOST, 2 if target.verify else 0)
    handle.setopt(pycurl.CAINFO, target.certificates)
    return handle


def _url(base_url: str, call: Call) -> str:
    return f"{base_url}{call.path}?{urlencode(call.query)}" if call.query else base_url + call.path


def _reply(handle: Any, number: int, message: str, body: bytes) -> Reply:
    wait = handle.getinfo(pycurl.RETRY_AFTER)
    return Reply(
        handle.getinfo(pycurl.RESPONSE_CODE),
        body,
        float(wait) if wait else None,
        _words(number, message),
        number not in NO_CONNECTION and handle.getinfo(pycurl.REQUEST_SIZE) > 0,
        handle.getinfo(pycurl.TOTAL_TIME),
    )


def _words(number: int, message: str) -> str:
    if not number:
        return ""
    if number in NO_CONNECTION:
        return "no connection"
    if number == pycurl.E_OPERATION_TIMEDOUT:
        return "no answer in time"
    if number == pycurl.E_FILESIZE_EXCEEDED:
        return f"its answer exceeds {LARGEST_ANSWER} bytes"
    return f"the connection broke ({message[:80]})"


def _drain(ear: int) -> None:
    with suppress(BlockingIOError):
        while len(os.read(ear, 4096)) == 4096:
            pass
