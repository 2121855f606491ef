"""Which requests are worked on, and which wait or are refused."""

import threading
from http import HTTPStatus

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import resolve

from config.admission import (
    SHARED_SECONDS,
    Admission,
    Admitted,
    Busy,
    Kind,
    Room,
    TooManyOfAccount,
    Turn,
    kind_of,
)
from tests.waiting import until

ROOM = Room.of(threads=8, running=4, of_account=4)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(clock) -> Admission:
    return Admission(ROOM, clock=clock)


def enter(admission: Admission, account: str, kind: Kind = Kind.WRITE) -> Turn:
    """Enter without waiting. Raises Busy if it would have to wait."""
    return admission.enter(account, kind, patience=0)


class Waiting:
    """A request that waits for its turn in a thread."""

    def __init__(self, admission: Admission, account: str, kind: Kind, done: list[str]) -> None:
        before = len(admission._waiting)
        self._admission, self._done, self._name = admission, done, f"{account} {kind.name}"
        self._thread = threading.Thread(target=self._work, args=[account, kind])
        self._thread.start()
        until(lambda: len(admission._waiting) == before + 1)

    def _work(self, account: str, kind: Kind) -> None:
        turn = self._admission.enter(account, kind, patience=20)
        self._done.append(self._name)
        self._admission.leave(turn)

    def join(self) -> None:
        self._thread.join(20)


def test_the_room_leaves_a_quarter_of_the_threads_to_changes():
    assert (
        Room(
            running=4,
            running_reads=2,
            running_heavy=1,
            running_logins=1,
            running_of_account=3,
            reads=6,
            reads_of_guests=4,
            logins=1,
            of_account=4,
        )
        == ROOM
    )
    assert Room.of(threads=1, running=8, of_account=10) == Room(1, 1, 1, 1, 1, 1, 1, 1, 1)


def test_reading_leaves_room_for_changes_of_whoever_reads(admission):
    enter(admission, "a", Kind.READ)
    enter(admission, "b", Kind.READ)
    with pytest.raises(Busy):
        enter(admission, "c", Kind.READ)
    enter(admission, "c")
    enter(admission, "a")


def test_few_heavy_reads_run_at_a_time_and_light_ones_pass_them(admission):
    enter(admission, "a", Kind.HEAVY_READ)
    with pytest.raises(Busy):
        enter(admission, "b", Kind.HEAVY_READ)
    enter(admission, "b", Kind.READ)


def test_logins_run_one_at_a_time_and_all_else_passes_them(admission):
    enter(admission, "ip:1", Kind.LOGIN)
    with pytest.raises(Busy):
        enter(admission, "ip:2", Kind.LOGIN)
    with pytest.raises(Busy):
        admission.enter("ip:3", Kind.LOGIN, patience=20)  # at once, however patient it is
    enter(admission, "a", Kind.READ)
    enter(admission, "b")
    enter(admission, "c")


def test_guests_from_everywhere_leave_places_to_read_to_known_accounts(admission):
    first = enter(admission, "ip:0", Kind.HEAVY_READ)
    waiting = [Waiting(admission, f"ip:{number}", Kind.HEAVY_READ, []) for number in (1, 2, 3)]
    with pytest.raises(Busy):
        admission.enter("ip:4", Kind.READ, patience=20)  # at once, however patient it is
    admission.leave(enter(admission, "user:1", Kind.READ))
    admission.leave(enter(admission, "ip:5", Kind.WRITE))
    admission.leave(first)
    for each in waiting:
        each.join()
    admission.leave(enter(admission, "ip:4", Kind.READ))


def test_an_account_never_has_everything_that_works(admission):
    for _ in range(3):
        enter(admission, "a")
    with pytest.raises(Busy):
        enter(admission, "a")
    enter(admission, "b")


def test_changes_go_first_then_the_account_with_the_least_in_hand(admission):
    done: list[str] = []
    held = [enter(admission, name) for name in ("a", "a", "b", "c")]
    waiting = [
        Waiting(admission, "b", Kind.HEAVY_READ, done),
        Waiting(admission, "b", Kind.READ, done),
        Waiting(admission, "a", Kind.WRITE, done),
        Waiting(admission, "d", Kind.WRITE, done),
    ]
    admission.leave(held[3])
    for each in waiting:
        each.join()
    assert done == ["d WRITE", "a WRITE", "b READ", "b HEAVY_READ"]


def test_an_account_that_reads_too_much_at_once_is_refused_and_others_are_not(admission):
    turns = [enter(admission, "a", Kind.HEAVY_READ)]
    waiting = [Waiting(admission, "a", Kind.HEAVY_READ, []) for _ in range(3)]
    with pytest.raises(TooManyOfAccount):
        enter(admission, "a", Kind.READ)
    turns.append(enter(admission, "b", Kind.READ))
    for turn in turns:
        admission.leave(turn)
    for each in waiting:
        each.join()


def test_reading_takes_no_more_than_its_part_of_the_threads(admission):
    first = enter(admission, "a", Kind.HEAVY_READ)
    names = ["a", "a", "b", "b", "b"]
    waiting = [Waiting(admission, name, Kind.HEAVY_READ, []) for name in names]
    with pytest.raises(Busy):
        admission.enter("c", Kind.READ, patience=20)  # at once, however patient it is
    admission.leave(enter(admission, "c"))
    admission.leave(first)
    for each in waiting:
        each.join()


def test_an_account_that_is_alone_may_write_with_all_threads(admission, clock):
    done: list[str] = []
    held = [enter(admission, "a") for _ in range(3)]
    waiting = [Waiting(admission, "a", Kind.WRITE, done) for _ in range(5)]
    admission.leave(enter(admission, "b"))
    with pytest.raises(TooManyOfAccount):
        enter(admission, "a")
    clock.now += 2 * SHARED_SECONDS
    waiting.append(Waiting(admission, "a", Kind.WRITE, done))
    for turn in held:
        admission.leave(turn)
    for each in waiting:
        each.join()
    assert len(done) == 6


def test_who_gave_up_waiting_leaves_nothing_behind(admission):
    held = [enter(admission, "a", Kind.READ) for _ in range(2)]
    for _ in range(20):
        with pytest.raises(Busy):
            enter(admission, "b", Kind.READ)
    for turn in held:
        admission.leave(turn)
    assert not admission._here
    assert not admission._running
    assert not admission._waiting
    assert admission._reads_here == 0


# --- In front of the views --------------------------------------------------------------------------------


def view(request: HttpRequest) -> HttpResponse:
    """A view of no cost."""
    return HttpResponse("fine")


def admitted(result: object) -> tuple[Admitted, HttpRequest]:
    def get_response(request: HttpRequest) -> HttpResponse:
        refusal = middleware.process_view(request, view, (), {})
        if isinstance(result, BaseException):
            raise result
        return refusal or HttpResponse(str(result))

    middleware = Admitted(get_response)
    return middleware, RequestFactory().get("/api/orders/1")


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyboardInterrupt()])
def test_a_turn_ends_whatever_happens(error):
    middleware, request = admitted(error)
    for _ in range(50):
        with pytest.raises(type(error)):
            middleware(request)
    assert not middleware._admission._here


def test_the_excess_is_told_when_to_come_back(settings):
    settings.REQUESTS_AT_ONCE = 1
    middleware, request = admitted("fine")
    middleware._admission.enter("ip:127.0.0.1", Kind.READ, patience=0)
    refused = middleware(request)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert b"too_many_requests_at_once" in refused.content
    assert refused["Retry-After"] == "1"


def test_health_is_told_whatever_else_is_under_way(settings):
    settings.REQUESTS_AT_ONCE = 1
    middleware, _ = admitted("fine")
    middleware._admission.enter("ip:127.0.0.1", Kind.READ, patience=0)
    assert middleware(RequestFactory().get("/health/live")).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    "path",
    ["/api/token", "/api/login/login/", "/admin/login/", "/password/reset/", "/password/reset/MQ/a-b/"],
)
def test_every_way_to_send_a_password_is_a_login(path):
    view = resolve(path).func
    assert kind_of(RequestFactory().post(path), view) == Kind.LOGIN
    assert kind_of(RequestFactory().get(path), view) == Kind.READ
