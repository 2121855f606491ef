"""Open sockets: limits per account, periodic login checks."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from django.conf import settings
from django.db import Error as DatabaseFailure

from live.access import DEMO, Credential, Viewer, viewer_of
from live.close_codes import NOT_LOGGED_IN, TOO_MANY_SOCKETS, Refusal, Refused
from live.database_threads import SOCKET_THREADS, ask

logger = logging.getLogger(__name__)

LOGINS_AT_ONCE = 100


class Socket(Protocol):
    """What the register needs of a socket."""

    def stop(self, refusal: Refusal) -> None:
        """Close it for a reason."""


class Register:
    """The open sockets; checks their logins."""

    def __init__(self) -> None:
        self._sockets: dict[Socket, Viewer] = {}
        self._per_holder: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._sockets)

    def enter(self, socket: Socket, viewer: Viewer) -> None:
        """Register a socket. Raises Refused at the limit of its account, or of its order."""
        generous = viewer.sees_all_orders or viewer.credential.kind == DEMO
        limit = settings.LIVE_SOCKETS_PER_STAFF if generous else settings.LIVE_SOCKETS_PER_CUSTOMER
        if self._per_holder[viewer.holder] >= limit:
            raise Refused(TOO_MANY_SOCKETS)
        self._per_holder[viewer.holder] += 1
        self._sockets[socket] = viewer
        if self._task is None:
            self._task = asyncio.create_task(self._check_forever())

    def leave(self, socket: Socket) -> None:
        viewer = self._sockets.pop(socket, None)
        if viewer is None:
            return
        self._per_holder[viewer.holder] -= 1
        if not self._per_holder[viewer.holder]:
            del self._per_holder[viewer.holder]
        if not self._sockets and self._task:
            self._task.cancel()
            self._task = None

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(settings.LIVE_LOGIN_CHECK_INTERVAL)
            try:
                await self._check()
            except DatabaseFailure as error:
                logger.warning("Logins cannot be checked now; the sockets stay: %s", error)

    async def _check(self) -> None:
        # One check per login.
        logins = list({viewer.credential: viewer for viewer in self._sockets.values()}.values())
        changed: set[Credential] = set()
        for start in range(0, len(logins), LOGINS_AT_ONCE):
            changed |= await ask(_changed, SOCKET_THREADS, logins[start : start + LOGINS_AT_ONCE])
        for socket, viewer in list(self._sockets.items()):
            if viewer.credential in changed:
                socket.stop(NOT_LOGGED_IN)


def _changed(viewers: Iterable[Viewer]) -> set[Credential]:
    return {viewer.credential for viewer in viewers if not _still_holds(viewer)}


def _still_holds(viewer: Viewer) -> bool:
    now = viewer_of(viewer.credential)
    return now is not None and (now.user.pk, now.sees_all_orders) == (viewer.user.pk, viewer.sees_all_orders)


REGISTER = Register()
