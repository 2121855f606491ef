"""Asking many things at once."""

import threading
from itertools import count

from monitoring.prober import Prober, Remembered
from tests.waiting import until


def test_it_tells_values_and_errors_apart():
    answers = Prober({"sum": lambda: 1 + 1, "fault": lambda: 1 // 0}).ask(seconds=5)
    assert answers["sum"].value == 2
    assert isinstance(answers["fault"].error, ZeroDivisionError)


def test_a_question_that_hangs_holds_up_nobody_and_is_not_asked_twice():
    go_on, asked = threading.Event(), []

    def hang() -> str:
        asked.append(1)
        go_on.wait()
        return "back"

    prober = Prober({"hanging": hang, "quick": lambda: "back"})
    for _ in range(5):
        answers = prober.ask(seconds=0.01)
        assert not answers["hanging"].is_back
    assert len(asked) == 1

    go_on.set()
    assert until(lambda: prober.ask(seconds=5)["hanging"].value) == "back"
    assert prober.ask(seconds=5)["quick"].value == "back"


def test_lookers_within_a_moment_share_an_answer():
    loads = count(1)
    shared = Remembered(lambda: next(loads), seconds=3600)
    assert [shared.get(), shared.get()] == [1, 1]
    shared.forget()
    assert shared.get() == 2
