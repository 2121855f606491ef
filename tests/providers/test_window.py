"""The bound on calls under way follows what the provider bears."""

from collections import deque
from statistics import median

import pytest

from providers.window import FIRST, LEAST_FAILING, LEAST_SLOW, LEAST_THROTTLED, Window


class Provider:
    """Answers in turns of a second; a number of calls at once it bears."""

    def __init__(self, most: int = 100_000) -> None:
        self.window, self.now = Window(most), 0.0

    def turn(self, seconds: float = 0.2, *, failures: float = 0.0, is_full: bool = True) -> float:
        """Let a second pass, in which calls end that fill the window or fail; return the window's size."""
        if is_full:
            self.window.crowded()
        calls = int(self.window.size)
        self.now += 1.0
        for number in range(calls):
            if int((number + 1) * failures) > int(number * failures):
                self.window.failed(now=self.now)
            else:
                self.window.answered(seconds, now=self.now)
        return self.window.size


@pytest.fixture
def provider() -> Provider:
    provider = Provider()
    provider.turn(is_full=False)
    return provider


def test_it_doubles_while_calls_wait_and_nothing_speaks_against_it(provider):
    assert [provider.turn() for _ in range(3)] == [FIRST * 2, FIRST * 4, FIRST * 8]


def test_it_stays_where_no_call_waits(provider):
    assert provider.turn(is_full=False) == FIRST


def test_it_never_exceeds_its_bound():
    provider = Provider(most=300)
    assert [provider.turn() for _ in range(4)][-1] == 300


def test_after_thirty_rounds_of_failures_it_is_back_within_a_few_rounds(provider):
    for _ in range(30):
        provider.turn(failures=1.0)
    assert provider.window.size == LEAST_FAILING
    assert [provider.turn() for _ in range(8)][-1] > FIRST * 0.7


def test_it_approaches_by_steps_what_was_too_much(provider):
    for _ in range(10):
        provider.turn(failures=0.5)
    sizes = [provider.turn() for _ in range(8)]
    assert sizes[2] == sizes[1] * 2
    assert sizes[-1] < sizes[-2] * 1.2
    assert sizes[-1] > FIRST * 0.7


def test_a_failure_alone_in_its_round_is_no_reason_for_more_calls(provider):
    for _ in range(20):
        provider.turn(failures=0.5)
    for _ in range(10):
        provider.window.crowded()
        provider.now += 1.0
        provider.window.failed(now=provider.now)
    assert provider.window.size == LEAST_FAILING


def test_a_provider_that_asks_for_less_is_not_called_more_at_once(provider):
    provider.window.throttled(0.0, now=provider.now)
    provider.turn()
    assert provider.turn() < FIRST * 0.5 * 1.2


def test_it_shrinks_when_answers_take_much_longer_and_grows_by_steps_afterwards(provider):
    large = provider.turn()
    assert provider.turn(1.0) < large
    shrunk = provider.window.size
    provider.turn(0.2)
    assert shrunk < provider.turn(0.2) < shrunk * 1.3


def test_one_slow_answer_in_a_hundred_is_no_sign_of_load(provider):
    provider.window.answered(9.0, now=provider.now)
    assert provider.turn() == FIRST * 2


def test_one_failure_in_a_hundred_is_none_either_but_one_in_five_is(provider):
    assert provider.turn(failures=0.01) == FIRST * 2
    assert [provider.turn(failures=0.2) for _ in range(3)][-1] < FIRST * 2


def test_a_provider_that_asks_for_less_gets_half_and_its_pause(provider):
    provider.window.throttled(2.0, now=provider.now)
    assert provider.turn() == FIRST / 2
    assert provider.window.room(0, now=provider.now) == 0
    assert provider.window.room(0, now=provider.now + 2.0) == FIRST // 2


def test_it_never_closes_and_least_of_all_for_slowness(provider):
    for _ in range(50):
        provider.window.throttled(0.0, now=provider.now)
        provider.turn()
    assert provider.window.size == LEAST_THROTTLED
    failing, slow = Provider(most=1000), Provider(most=1000)
    for _ in range(50):
        failing.turn(failures=0.5)
    slow.turn(0.001)
    assert min(slow.turn(0.9) for _ in range(6)) == LEAST_SLOW
    assert failing.window.size == LEAST_FAILING


def test_a_provider_that_is_slower_for_good_gets_its_calls_back(provider):
    large = provider.turn()
    sizes = [provider.turn(0.9) for _ in range(25)]
    assert min(sizes) == LEAST_SLOW
    assert sizes[-1] > large * 0.5


class Queue:
    """Answers one call after the other, so many per second, and each with a delay."""

    def __init__(self, per_second: float, delay: float) -> None:
        self.window, self.now = Window(4000), 0.0
        self._per_second, self._delay = per_second, delay
        self._free_at = 0.0
        self._under_way: deque[tuple[float, float]] = deque()  # begin and end

    def run(self, seconds: float) -> list[float]:
        """Call it as often as the window allows; return how long each call took."""
        took, end = [], self.now + seconds
        while self.now < end:
            self.window.crowded()
            for _ in range(self.window.room(len(self._under_way), now=self.now)):
                self._free_at = max(self.now, self._free_at) + 1 / self._per_second
                self._under_way.append((self.now, self._free_at + self._delay))
            began, self.now = self._under_way.popleft()
            took.append(self.now - began)
            self.window.answered(took[-1], now=self.now)
        return took


@pytest.mark.parametrize(("per_second", "delay"), [(700, 0.005), (5000, 0.2)])
def test_calls_do_not_queue_at_a_provider_that_is_at_its_limit(per_second, delay):
    queue = Queue(per_second, delay)
    queue.run(5)
    took = queue.run(10)
    assert median(took) < (2 * delay + 0.25) * 1.1
    assert len(took) > 10 * per_second * 0.95


def test_its_size_is_judged_by_calls_that_began_under_it():
    queue = Queue(700, 0.005)
    queue.run(1)  # more than the provider bears are under way
    size = queue.window.size
    assert LEAST_SLOW < size < FIRST
    queue.run(0.3)  # and their answers say nothing about the smaller window
    assert queue.window.size == size
