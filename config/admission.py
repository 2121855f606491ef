"""Admission control of a web process: which requests run, wait, or are refused.

Few of the threads run at a time. Writes go first, then the account with the fewest running requests. An account over
its limit gets 429; reads get 503 before they use threads kept for writes.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from time import monotonic
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import SAFE_METHODS
from rest_framework.throttling import BaseThrottle

from api.problems import Problem
from api.throttling import cost_of
from config import errors

RETRY_AFTER_SECONDS = 1
HEAVY_COST = 5
# seconds in the queue
PATIENCE_SECONDS = {"read": 10.0, "write": 30.0}
# After two accounts were seen, each keeps to its share for this long.
SHARED_SECONDS = 10.0
# Probes are answered whatever the load.
NEVER_WAIT = ("/health", "/metrics")
# Before the address of a client without known credentials.
GUEST = "ip:"


class Kind(IntEnum):
    """Kind of request, in order of priority."""

    WRITE = 0
    READ = 1
    LOGIN = 2  # hashing its password keeps a processor busy
    HEAVY_READ = 3


@dataclass(frozen=True, slots=True)
class Room:
    running: int
    running_reads: int
    running_heavy: int
    running_logins: int
    running_of_account: int
    reads: int
    reads_of_guests: int
    logins: int
    of_account: int

    @classmethod
    def of(cls, *, threads: int, running: int, of_account: int) -> "Room":
        """Return the limits; a quarter of the threads is kept for writes."""
        running = min(running, threads)
        reads = max(1, threads - max(1, threads // 4))
        return cls(
            running=running,
            running_reads=max(1, running // 2),
            running_heavy=max(1, running // 4),
            running_logins=max(1, running // 8),
            running_of_account=max(1, running - 1),
            reads=reads,
            reads_of_guests=max(1, reads * 2 // 3),
            logins=max(1, threads // 8),
            of_account=min(of_account, reads),
        )


class Refused(Exception):
    """A request that is refused."""


class TooManyOfAccount(Refused):
    """The account's limit is reached."""


class Busy(Refused):
    """No thread is left for reads, or the wait timed out."""


@dataclass(eq=False, slots=True)
class Turn:
    """A request's place in the queue."""

    account: str
    kind: Kind
    number: int
    comes: threading.Event = field(default_factory=threading.Event)


class Admission:
    """The running and waiting requests of a process."""

    def __init__(self, room: Room, *, clock: Callable[[], float] = monotonic) -> None:
        self._room, self._clock = room, clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._here, self._running = Counter[str](), Counter[str]()  # by account
        self._reads_here = self._reads_of_guests = self._logins_here = 0
        self._running_kinds = Counter[Kind]()
        self._waiting: list[Turn] = []
        self._latest, self._shared_until = "", 0.0

    def enter(self, account: str, kind: Kind, *, patience: float) -> Turn:
        """Block until the request may run, then `leave` it. Raises TooManyOfAccount, Busy."""
        with self._lock:
            self._note(account)
            self._refuse_excess(account, kind)
            turn = Turn(account, kind, next(self._numbers))
            self._here[account] += 1
            self._count_read(account, kind, 1)
            self._waiting.append(turn)
            self._call_next()
        if not turn.comes.wait(patience):
            self._give_up(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        with self._lock:
            self._running_kinds[turn.kind] -= 1
            self._subtract(self._running, turn.account)
            self._depart(turn)
            self._call_next()

    def _note(self, account: str) -> None:
        if account != self._latest and self._latest:
            self._shared_until = self._clock() + SHARED_SECONDS
        self._latest = account

    def _refuse_excess(self, account: str, kind: Kind) -> None:
        """Apply limits. An account that is alone may write with all threads."""
        is_bound = kind is not Kind.WRITE or self._clock() < self._shared_until
        if is_bound and self._here[account] >= self._room.of_account:
            raise TooManyOfAccount
        if self._is_full(account, kind):
            raise Busy

    def _is_full(self, account: str, kind: Kind) -> bool:
        if kind is Kind.WRITE:
            return False
        return (
            self._reads_here >= self._room.reads
            or (kind is Kind.LOGIN and self._logins_here >= self._room.logins)
            or (_is_guest(account) and self._reads_of_guests >= self._room.reads_of_guests)
        )

    def _call_next(self) -> None:
        while fit := [turn for turn in self._waiting if self._has_room(turn)]:
            first = min(fit, key=lambda turn: (turn.kind, self._running[turn.account], turn.number))
            self._waiting.remove(first)
            self._running[first.account] += 1
            self._running_kinds[first.kind] += 1
            first.comes.set()

    def _has_room(self, turn: Turn) -> bool:
        room, kinds = self._room, self._running_kinds
        heavy, logins = kinds[Kind.HEAVY_READ], kinds[Kind.LOGIN]
        reads = heavy + kinds[Kind.READ]
        has_room = {
            Kind.WRITE: True,
            Kind.READ: reads < room.running_reads,
            Kind.LOGIN: logins < room.running_logins,
            Kind.HEAVY_READ: reads < room.running_reads and heavy < room.running_heavy,
        }
        return (
            reads + logins + kinds[Kind.WRITE] < room.running
            and self._running[turn.account] < room.running_of_account
            and has_room[turn.kind]
        )

    def _give_up(self, turn: Turn) -> None:
        with self._lock:
            if turn.comes.is_set():
                return
            self._waiting.remove(turn)
            self._depart(turn)
        raise Busy

    def _depart(self, turn: Turn) -> None:
        self._count_read(turn.account, turn.kind, -1)
        self._subtract(self._here, turn.account)

    def _count_read(self, account: str, kind: Kind, change: int) -> None:
        if kind is not Kind.WRITE:
            self._logins_here += change if kind is Kind.LOGIN else 0
            self._reads_here += change
            self._reads_of_guests += change if _is_guest(account) else 0

    @staticmethod
    def _subtract(counts: "Counter[str]", account: str) -> None:
        counts[account] -= 1
        if not counts[account]:
            del counts[account]


# --- In front of the views --------------------------------------------------------------------------------


class Accounts:
    """Decides about fair shares only, never about permissions."""

    MOST = 10_000

    def __init__(self) -> None:
        self._of: dict[int, int] = {}

    def of(self, request: HttpRequest) -> str:
        known = self._of.get(_credential(request))
        return f"user:{known}" if known else f"{GUEST}{BaseThrottle().get_ident(request)}"  # type: ignore[arg-type]

    def learn(self, request: HttpRequest) -> None:
        """Cache the user that the views authenticated."""
        user = getattr(request, "_cached_user", None) or request.__dict__.get("user")
        credential = _credential(request)
        if credential and type(user) is User and user.pk:
            if len(self._of) >= self.MOST:
                self._of.clear()
            self._of[credential] = user.pk


def _is_guest(account: str) -> bool:
    return account.startswith(GUEST)


def _credential(request: HttpRequest) -> int:
    """0 without either."""
    shown = request.META.get("HTTP_AUTHORIZATION")
    if not shown and request.META.get("HTTP_COOKIE"):
        shown = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return hash(shown) if shown else 0


class Admitted:
    """Queues requests once their cost is known and before authentication queries the database.

    A stream counts until its view returns; streams have their own limit.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._accounts = Accounts()
        self._admission = Admission(
            Room.of(
                threads=settings.WEB_THREADS,
                running=settings.WEB_AT_ONCE,
                of_account=settings.REQUESTS_AT_ONCE,
            )
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            response = self._get_response(request)
        finally:
            if turn := request.__dict__.pop("turn", None):
                self._admission.leave(turn)
        self._accounts.learn(request)
        for name, value in _standing(request):
            response.headers[name] = value
        return response

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Wait for a turn. Return the refusal, or None."""
        if request.path_info.startswith(NEVER_WAIT):
            return None
        kind = kind_of(request, view)
        patience = PATIENCE_SECONDS["write" if kind is Kind.WRITE else "read"]
        try:
            turn = self._admission.enter(self._accounts.of(request), kind, patience=patience)
        except TooManyOfAccount:
            refusal = _refusal("too_many_requests_at_once", HTTPStatus.TOO_MANY_REQUESTS)
            return errors.response_to(refusal, request)
        except Busy:
            return errors.response_to(_refusal("busy", HTTPStatus.SERVICE_UNAVAILABLE), request)
        request.turn = turn  # type: ignore[attr-defined]
        return None


def kind_of(request: HttpRequest, view: Any) -> Kind:
    asked = getattr(view, "cls", view)
    if request.method not in SAFE_METHODS:
        return Kind.LOGIN if getattr(asked, "is_login", False) else Kind.WRITE
    cost = cost_of(asked, request.GET)
    return Kind.HEAVY_READ if cost >= HEAVY_COST else Kind.READ


def _refusal(code: str, status: HTTPStatus) -> Problem:
    message = {
        "busy": "Too much is being looked up. Try again in a moment.",
        "too_many_requests_at_once": "Too many requests of yours are under way. Wait for some of their answers.",
    }[code]
    return Problem(code, message, status_code=status, retry_after=RETRY_AFTER_SECONDS)


def _standing(request: HttpRequest) -> Iterator[tuple[str, str]]:
    standing = getattr(request, "standing", None)
    return iter(standing.headers.items() if standing else ())
