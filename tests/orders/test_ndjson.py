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
    answers = iter(spool)
    next(answers)
    answers.close()
    writer.join(20)
    assert not writer.is_alive()
    assert spool.is_abandoned


class Body:
    """A body whose pieces each come after so many seconds of a clock of its own."""

    def __init__(self, *pieces: tuple[float, bytes]) -> None:
        self.now, self._pieces = 100.0, list(pieces)

    def read(self, _size: int) -> bytes:
        seconds, piece = self._pieces.pop(0)
        self.now += seconds
        return piece


def paced(body: Body) -> Pace:
    return Pace(body.read, bytes_per_second=10, within=10, clock=lambda: body.now)


def test_a_body_that_comes_fast_enough_is_read_on():
    pace = paced(Body((5, b"a" * 60), (4, b"a" * 60), (9, b"")))
    assert [pace.read(100) for _ in range(3)] == [b"a" * 60, b"a" * 60, b""]


def test_a_body_that_dribbles_is_not_read_on():
    pace = paced(Body(*[(3, b"a")] * 5))
    for _ in range(3):
        assert pace.read(100) == b"a"
    with pytest.raises(TooSlow):
        pace.read(100)


def test_time_that_the_reader_takes_is_not_held_against_the_body():
    body = Body(*[(1, b"a" * 20)] * 9)
    pace = paced(body)
    for _ in range(9):
        pace.read(100)
        body.now += 60


def test_that_a_body_has_stopped_is_known_while_it_is_waited_for():
    body = Body((0, b"a"))
    pace = paced(body)
    pace._waits_since = body.now
    assert not pace.is_too_slow()
    body.now += 11
    assert pace.is_too_slow()
