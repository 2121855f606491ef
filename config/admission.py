"""Which requests a web process works on at a time, so that no account keeps the others waiting.

Threads are many and wait here; few of them work. Changes go before reading, and among equals the account with the
least work in hand goes first. An account that has too many requests here at once is refused at once, and so is reading
when it would take the last threads: those are for placing orders.
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
# A read that costs as many tokens as this is work for the database or the processor: few of them run at a time.
HEAVY_COST = 5
# Seconds that a request waits for its turn, by its kind, before it is refused.
PATIENCE_SECONDS = {"read": 10.0, "write": 30.0}
# For so long after two accounts came side by side, each keeps to its share of the threads.
SHARED_SECONDS = 10.0
# Whoever asks how the system is, is answered whatever its state.
NEVER_WAIT = ("/health", "/metrics")
# What the names of those begin with whose credentials are not known here, or who show none: an address follows.
GUEST = "ip:"


class Kind(IntEnum):
    """What a request is, in the order in which they go."""

    WRITE = 0
    READ = 1
    LOGIN = 2  # hashing its password keeps a processor busy
    HEAVY_READ = 3


@dataclass(frozen=True, slots=True)
class Room:
    """How many requests may be in a process, and how many of them are worked on."""

    running: int
    running_reads: int
    running_heavy: int
    running_logins: int
    running_of_account: int
    reads: int
    reads_of_guests: int  # of all together whose credentials are not known here, or who show none
    logins: int
    of_account: int

    @classmethod
    def of(cls, *, threads: int, running: int, of_account: int) -> "Room":
        """Return what so many threads make possible, of which so many work at a time. A quarter is for changes."""
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
    """A request that may not even wait."""


class TooManyOfAccount(Refused):
    """The account has as many requests here as it may."""


class Busy(Refused):
    """There is no thread left to read with, or its turn did not come."""


@dataclass(eq=False, slots=True)
class Turn:
    """One request's place in the process."""

    account: str
    kind: Kind
    number: int
    comes: threading.Event = field(default_factory=threading.Event)


class Admission:
    """One process's requests: those that are worked on, and those that wait."""

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
        """Return once the request may be worked on; `leave` must follow. Raises TooManyOfAccount, Busy."""
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
        """Make room for the next."""
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
        """An account that is alone may write with all threads: there is nobody else to keep waiting."""
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
    """Which account each credential belonged to when it was last let in: known before it is looked up again.

    It decides about shares only, never about what anybody may do.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self._of: dict[int, int] = {}

    def of(self, request: HttpRequest) -> str:
        """Return the account; the address of a credential that was not let in yet, or of none."""
        known = self._of.get(_credential(request))
        return f"user:{known}" if known else f"{GUEST}{BaseThrottle().get_ident(request)}"  # type: ignore[arg-type]

    def learn(self, request: HttpRequest) -> None:
        """Remember whom the views found the request to be from."""
        user = getattr(request, "_cached_user", None) or request.__dict__.get("user")
        credential = _credential(request)
        if credential and type(user) is User and user.pk:
            if len(self._of) >= self.MOST:
                self._of.clear()
            self._of[credential] = user.pk


def _is_guest(account: str) -> bool:
    return account.startswith(GUEST)


def _credential(request: HttpRequest) -> int:
    """Return a number that stands for what the request shows to be let in; 0 for nothing."""
    shown = request.META.get("HTTP_AUTHORIZATION")
    if not shown and request.META.get("HTTP_COOKIE"):
        shown = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return hash(shown) if shown else 0


class Admitted:
    """Has each request wait for its turn, once it is known what it asks for and before anything is looked up.

    What a stream sends after its view has returned is not counted: streams have places of their own.
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
        """Wait for the request's turn. Return the refusal, or nothing if there is none."""
        if request.path_info.startswith(NEVER_WAIT):
            return None
        kind = kind_of(request, view)
        patience = PATIENCE_SECONDS["write" if kind is Kind.WRITE else "read"]
        try:
            turn = self._admission.enter(self._accounts.of(request), kind, patience=patience)
        except TooManyOfAccount:
            return errors.response_to(_refusal("too_many_requests_at_once", HTTPStatus.TOO_MANY_REQUESTS))
        except Busy:
            return errors.response_to(_refusal("busy", HTTPStatus.SERVICE_UNAVAILABLE))
        request.turn = turn  # type: ignore[attr-defined]
        return None


def kind_of(request: HttpRequest, view: Any) -> Kind:
    """Return what kind of request it is, by its method and by what its view costs."""
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
