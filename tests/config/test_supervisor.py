"""The supervisor, over real processes."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 20.0

# `launcher.run` in small: supervises what its arguments say, as `NAME=python code`; `engine:` marks an engine.
LAUNCHER = """
import itertools, os, signal, sys
from launcher.child import start_child
from launcher.console import Console
from launcher.guardian import Guardian
from launcher import supervisor
from launcher.supervisor import Program, Supervisor

MISSING = "/there/is/no/such/program"
supervisor.STOP_SECONDS = float(os.environ["STOP_SECONDS"])

def program(argument):
    name, code = argument.split("=", 1)
    def launch(output):
        argv = [sys.executable, "-u", "-c", code] if code != MISSING else [MISSING]
        return start_child(argv, death_signal=signal.SIGKILL, output=output)
    return Program(name=name.removeprefix("engine:"), launch=launch, is_engine=name.startswith("engine:"))

ticks = itertools.count(1)

with Guardian() as guardian:
    Supervisor(
        [program(argument) for argument in sys.argv[1:]],
        Console(1, colour=False),
        guardian,
        on_tick=lambda: print("tick", flush=True) or next(ticks) >= int(os.environ["TICKS"]),
    ).run()
"""
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit()))
print('up')
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys
print('up', subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid)
sys.stdin.read(); import time; time.sleep(600)
"""


class Launched:
    """A running launcher; reads its output as it comes."""

    def __init__(self, *programs: str, patience_seconds: float = 10, ticks: int = 10_000) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(LAUNCHER), *programs],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"STOP_SECONDS": str(patience_seconds), "TICKS": str(ticks)},
        )
        self.output = ""

    def wait_for(self, pattern: str, *, times: int = 1) -> list[str]:
        """The matches, once there are so many."""
        return until(
            lambda: self._read() and len(found := re.findall(pattern, self.output)) >= times and found
        )

    def children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def programs(self) -> list[psutil.Process]:
        """The supervised programs, in the order of their start."""
        found = [process for process in self.children() if process.cmdline()[1:2] == ["-u"]]
        return sorted(found, key=lambda process: process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        self.output += rest.decode()
        return self.output

    def _read(self) -> bool:
        assert self.process.stdout
        while select.select([self.process.stdout], [], [], 0)[0]:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                break
            self.output += piece.decode()
        return True


def until(condition: Callable[[], Any]) -> Any:
    """What the condition returns, once that is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return result


@pytest.fixture
def launch() -> Iterator[Callable[..., Launched]]:
    launched: list[Launched] = []

    def start(*programs: str, **options: Any) -> Launched:
        launched.append(Launched(*programs, **options))
        return launched[-1]

    yield start
    for one in launched:
        for process in one.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(ProcessLookupError):
            one.process.kill()
        one.process.wait()


def test_each_line_carries_the_name_of_its_process(launch):
    running = launch(f"web={SLEEP}", f"beat={SLEEP}")
    running.wait_for(r"(?m)^(?:web|beat) \| up$", times=2)


def test_what_dies_is_restarted_and_the_others_live_on(launch):
    running = launch(f"web={SLEEP}", f"beat={SLEEP}")
    running.wait_for(r"\| up", times=2)
    web, beat = running.programs()
    web.kill()
    running.wait_for(r"web exited \(signal SIGKILL\); restarting")
    running.wait_for(r"web \| up", times=2)
    assert beat.is_running()


def test_one_that_keeps_dying_is_restarted_ever_more_slowly(launch):
    running = launch("web=import time; print('at', time.monotonic()); raise SystemExit(3)")
    times = [float(at) for at in running.wait_for(r"at ([\d.]+)", times=4)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert "status 3" in running.output


def test_a_stop_lets_every_process_say_goodbye_and_the_engines_go_last(launch):
    running = launch(f"web={POLITE}", f"engine:database={POLITE}", f"worker={POLITE}")
    running.wait_for(r"\| up", times=3)
    output = running.stop()
    assert running.process.returncode == 0
    assert re.findall(r"(\w+) \| bye", output)[-1] == "database"
    assert "All stopped." in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_stop_signal_ends_it_with_status_0_and_leaves_nothing_behind(launch, number):
    running = launch(f"web={SLEEP}", f"workers={PARENT}")
    running.wait_for(r"up", times=2)
    family = running.children()
    running.stop(number)
    assert running.process.returncode == 0
    assert not [process for process in family if process.is_running() and not is_zombie(process)]


def test_what_does_not_want_to_stop_is_killed_in_the_end(launch):
    running = launch(f"web={DEAF}", patience_seconds=0.5)
    running.wait_for(r"\| up")
    running.stop()
    assert running.process.returncode == 0


def test_a_second_signal_kills_what_does_not_want_to_stop(launch):
    running = launch(f"web={DEAF}", patience_seconds=3600)
    running.wait_for(r"\| up")
    running.process.send_signal(signal.SIGINT)
    running.wait_for("Stopping")
    running.stop(signal.SIGINT)
    assert running.process.returncode == 0


def test_a_killed_launcher_leaves_nothing_behind(launch):
    running = launch(f"web={DEAF}", f"workers={PARENT}", f"engine:database={POLITE}")
    running.wait_for(r"up", times=3)
    family = running.children()
    assert len(family) >= 5  # three programs, a grandchild, the guardian
    running.process.kill()
    until(lambda: not [process for process in family if process.is_running() and not is_zombie(process)])


def test_the_children_of_a_killed_process_do_not_work_beside_its_successor(launch):
    running = launch(f"workers={PARENT}")
    grandchild = psutil.Process(int(running.wait_for(r"up (\d+)")[0]))
    grandchild.parent().kill()  # type: ignore[union-attr]
    until(lambda: not grandchild.is_running() or is_zombie(grandchild))
    running.wait_for(r"up (\d+)", times=2)


def test_a_flood_of_output_that_nobody_reads_stops_nobody(launch, tmp_path):
    done = tmp_path / "done"
    flood = f"import pathlib\nfor _ in range(60_000): print('x' * 100)\npathlib.Path({str(done)!r}).touch()"
    running = launch(f"noisy={flood}\nimport time; time.sleep(600)")
    until(done.exists)
    running.process.send_signal(signal.SIGTERM)
    running.wait_for("lines were dropped")
    running.wait_for("All stopped")


def test_output_does_not_make_it_tick_faster(launch):
    lines = 100
    running = launch(f"web=import time\nfor n in range({lines}): print('line', n); time.sleep(0.01)\n{SLEEP}")
    running.wait_for(rf"web \| line {lines - 1}\n")

    # A tick for each piece of output would make about as many of them as there are lines.
    assert running.output.count("tick\n") < lines / 2


def test_after_its_last_tick_it_still_restarts_what_dies(launch):
    running = launch(f"web={SLEEP}", ticks=1)
    running.wait_for(r"\| up")
    running.programs()[0].kill()
    running.wait_for(r"web \| up", times=2)
    assert running.output.count("tick\n") == 1


def test_a_program_that_cannot_start_is_tried_again_and_the_others_live_on(launch):
    running = launch("web=/there/is/no/such/program", f"beat={SLEEP}")
    running.wait_for(r"beat \| up")
    running.wait_for("web cannot start", times=2)


def is_zombie(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True
