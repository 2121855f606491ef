"""Bodies that come too slowly, and answers that wait to be read."""

import os
import threading

import pytest

from api.ndjson import Pace, Spool, TooSlow
from tests.waiting import until


def test_a_spool_is_read_while_it_is_written():
    spool = Spool(size=100)
    answers = iter(spool)
    spool.write(b"one")
    assert next(answers) == b"one"
    spool.write(b"two")
    spool.complete()
    assert list(answers) == [b"two"]


def test_a_spool_loses_nothing_however_often_it_goes_round():
    spool, sent = Spool(size=10), os.urandom(1000)

    def write() -> None:
        for start in range(0, len(sent), 37):
            spool.write(sent[start : start + 37])
        spool.complete()

    writer = threading.Thread(target=write)
    writer.start()
    assert b"".join(spool) == sent
    writer.join()
    assert os.fstat(spool._file.fileno()).st_size == 10


def test_a_spool_that_is_full_makes_its_writer_wait_until_it_is_read():
    spool = Spool(size=10)
    writer = threading.Thread(target=spool.write, args=[b"a" * 15])
    writer.start()
    until(lambda: spool._written == 10)
    assert writer.is_alive()
    answers = iter(spool)
    assert next(answers) == b"a" * 10
    writer.join(20)
    assert not writer.is_alive()


def test_a_spool_that_nobody_reads_any_more_lets_its_writer_go():
    spool = Spool(size=10)
    spool.write(b"a" * 10)
    writer = threading.Thread(target=spool.write, args=[b"b"])
    writer.start()
    answers = spool.pieces(is_over=lambda: False, look_seconds=1)
    next(answers)
    answers.close()
    writer.join(20)
    assert not writer.is_alive()
    assert spool.is_abandoned


class Body:
    """A body whose pieces arrive at intervals of a simulated clock."""

    def __init__(self, *seconds: float) -> None:
        self.now, self._seconds = 100.0, list(seconds)

    def read(self, size: int) -> bytes:
        self.now += self._seconds.pop(0)
        return b"a" * size


def paced(body: Body, *, bytes_per_second: float = 409.6) -> Pace:
    return Pace(body.read, bytes_per_second=bytes_per_second, at_least_seconds=5, clock=lambda: body.now)


def test_a_body_that_comes_fast_enough_is_read_on_in_small_pieces():
    pace = paced(Body(9, 9, 9))
    assert [len(pace.read(64 * 1024)) for _ in range(3)] == [4096] * 3


def test_a_body_that_dribbles_is_not_read_on():
    pace = paced(Body(9, 11))
    pace.read(100)
    with pytest.raises(TooSlow):
        pace.read(100)
    assert pace.is_too_slow()


def test_without_a_rate_a_body_may_take_its_time():
    assert paced(Body(1e9), bytes_per_second=0).read(1) == b"a"


def test_time_that_the_reader_takes_is_not_held_against_the_body():
    body = Body(*[1] * 9)
    pace = paced(body)
    for _ in range(9):
        pace.read(100)
        body.now += 60
        assert not pace.is_too_slow()


def test_that_a_body_has_stopped_is_known_while_it_is_waited_for():
    seen: list[bool] = []
    pace = paced(body := Body())

    def read(_size: int) -> bytes:
        for seconds in (9, 2):
            body.now += seconds
            seen.append(pace.is_too_slow())
        return b""

    pace._read = read
    with pytest.raises(TooSlow):
        pace.read(100)
    assert seen == [False, True]
