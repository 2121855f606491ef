"""Starts programs in order, restarts those that exit, stops all.

One thread and one selector: output is read at once, so that no program blocks on a full pipe; signals wake the same
loop.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from launcher.child import Process, signal_group
from launcher.console import Console
from launcher.guardian import Guardian

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
# A program that ran this long restarts with the first delay again.
HEALTHY_SECONDS = 30.0
# Everything stops within 15 s.
STOP_SECONDS = 10.0
ENGINES_STOP_SECONDS = 4.0
DRAIN_SECONDS = 1.0
LONGEST_LINE_BYTES = 64 * 1024
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK_SECONDS = 0.5
# Between turns that nothing causes, once there is nothing to do at a certain time.
REST_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command to keep running. `launch` starts it with its output on the given file descriptor.

    Engines start first and stop last. Only the main process gets the stop signal (a Celery worker lets its child
    finish the task); then the rest of its group is killed.
    """

    name: str
    launch: Callable[[int], Process]
    stop_signal: signal.Signals = signal.SIGTERM
    is_engine: bool = False
    stop_seconds: float = 0.0  # if longer than the default


@dataclass
class _Watched:
    """A program and the state of its current run."""

    program: Program
    process: Process | None = None
    output: int | None = None
    unfinished_line: bytes = b""
    started_at: float = 0.0
    consecutive_exits: int = 0
    restart_at: float | None = None

    @property
    def name(self) -> str:
        return self.program.name


@dataclass
class Supervisor:
    """`run` blocks until a stop signal, and until every program has exited.

    `on_tick` is called about twice a second until it returns True, and must be short.
    """

    programs: Sequence[Program]
    console: Console
    guardian: Guardian
    on_tick: Callable[[], bool | None] = lambda: True
    clock: Callable[[], float] = time.monotonic
    _watched: list[_Watched] = field(init=False)
    _selector: selectors.BaseSelector = field(init=False, default_factory=selectors.DefaultSelector)
    _stop_signals: int = field(init=False, default=0)
    _next_tick: float = field(init=False, default=0.0)
    _ticks: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        ordered = sorted(self.programs, key=lambda program: not program.is_engine)
        self._watched = [_Watched(program) for program in ordered]

    def attach(self, name: str, process: Process) -> None:
        watched = next(watched for watched in self._watched if watched.name == name)
        watched.process = process
        watched.started_at = self.clock()

    def kill(self, name: str) -> None:
        for watched in self._watched:
            if watched.name == name and watched.process:
                signal_group(watched.process, signal.SIGKILL)

    def run(self) -> None:
        wake_up = self._listen_to_signals()
        try:
            for watched in self._watched:
                if watched.process is None:
                    self._start(watched)
            while not self._stop_signals:
                self._turn(TICK_SECONDS if self._is_busy() else REST_SECONDS)
                self._restart_exited()
                self._tick()
            self._stop()
        finally:
            self._kill_remaining()
            signal.set_wakeup_fd(-1)
            os.close(wake_up)
            self._selector.close()

    # --- signals --------------------------------------------------------------------------------------

    def _listen_to_signals(self) -> int:
        """Wake the loop on each signal, SIGCHLD too; return the pipe's writer, to be closed."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(reader, selectors.EVENT_READ, lambda: os.read(reader, 4096))
        return writer

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_signals += 1

    # --- event loop -----------------------------------------------------------------------------------

    def _turn(self, longest_wait: float) -> None:
        """Wait for output, a signal or an exit, and handle it."""
        self._watch_console()
        for key, _ in self._selector.select(longest_wait):
            key.data()
        self._reap()

    def _tick(self) -> None:
        """Call on_tick at its own pace: output that it causes must not trigger the next one."""
        if self._ticks and self.clock() >= self._next_tick:
            self._ticks = not self.on_tick()
            self._next_tick = self.clock() + TICK_SECONDS

    def _is_busy(self) -> bool:
        """Whether something is due at a certain time: output, exits and signals wake the loop themselves."""
        return self._ticks or any(watched.restart_at is not None for watched in self._watched)

    def _watch_console(self) -> None:
        """Watch for a writable console only while output is pending."""
        registered = self.console.output in self._selector.get_map()
        if self.console and not registered:
            try:
                self._selector.register(self.console.output, selectors.EVENT_WRITE, self.console.write)
            except PermissionError:
                # epoll refuses plain files, which are always writable.
                while self.console:
                    self.console.write()
        elif registered and not self.console:
            self._selector.unregister(self.console.output)

    def _read(self, watched: _Watched) -> None:
        if watched.output is None:
            return
        piece = os.read(watched.output, LONGEST_LINE_BYTES)
        *lines, watched.unfinished_line = (watched.unfinished_line + piece).split(b"\n")
        ended = not piece
        if ended or len(watched.unfinished_line) > LONGEST_LINE_BYTES:
            lines.append(watched.unfinished_line)
            watched.unfinished_line = b""
        for line in lines:
            if line.strip():
                self.console.line(watched.name, line.decode(errors="replace").rstrip())
        if ended:
            self._selector.unregister(watched.output)
            os.close(watched.output)
            watched.output = None

    # --- start and exit -------------------------------------------------------------------------------

    def _start(self, watched: _Watched) -> None:
        if watched.output is not None:  # held open by a grandchild of the previous run
            self._selector.unregister(watched.output)
            os.close(watched.output)
        watched.output, writer = os.pipe()
        watched.restart_at = None
        watched.started_at = self.clock()
        try:
            watched.process = watched.program.launch(writer)
            signal_first = watched.program.stop_signal if watched.program.is_engine else None
            self.guardian.watch(watched.process.pid, stop_signal=signal_first)
        except Exception as error:  # noqa: BLE001 - the others keep running
            self.console.text(f"{watched.name} cannot start: {error}")
            self._plan_restart(watched)
        finally:
            os.close(writer)
        self._selector.register(watched.output, selectors.EVENT_READ, lambda: self._read(watched))

    def _reap(self) -> None:
        for watched in self._watched:
            process = watched.process
            if process is None or (status := process.poll()) is None:
                continue
            # Else its children run beside the successor.
            signal_group(process, signal.SIGKILL)
            self.guardian.forget(process.pid)
            watched.process = None
            if not self._stop_signals:
                self._plan_restart(watched)
                self.console.text(f"{watched.name} exited ({_cause(status)}); restarting.")

    def _plan_restart(self, watched: _Watched) -> None:
        now = self.clock()
        if now - watched.started_at >= HEALTHY_SECONDS:
            watched.consecutive_exits = 0
        delay = min(FIRST_DELAY_SECONDS * 2**watched.consecutive_exits, LONGEST_DELAY_SECONDS)
        watched.consecutive_exits = min(watched.consecutive_exits + 1, 10)
        watched.restart_at = now + delay

    def _restart_exited(self) -> None:
        for watched in self._watched:
            if (
                watched.restart_at is not None
                and watched.restart_at <= self.clock()
                and not self._stop_signals
            ):
                self._start(watched)

    # --- stop -----------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self.console.text("Stopping. Press Ctrl-C again to stop at once.")
        self._stop_some([watched for watched in self._watched if not watched.program.is_engine], STOP_SECONDS)
        # In reverse order: PostgreSQL stops last.
        for engine in reversed([watched for watched in self._watched if watched.program.is_engine]):
            self._stop_some([engine], ENGINES_STOP_SECONDS / 2)
        self.console.text("All stopped.")
        self._drain_output()

    def _drain_output(self) -> None:
        deadline = self.clock() + DRAIN_SECONDS
        while self.console and self.clock() < deadline:
            self._turn(TICK_SECONDS)

    def _stop_some(self, some: Sequence[_Watched], timeout: float) -> None:
        for watched in reversed(some):
            if watched.process:
                watched.process.send_signal(watched.program.stop_signal)
        deadline = self.clock() + max(timeout, *(watched.program.stop_seconds for watched in some), 0.0)
        while any(watched.process for watched in some) and self.clock() < deadline and self._stop_signals < 2:
            self._turn(max(0.0, min(TICK_SECONDS, deadline - self.clock())))
        for watched in some:
            if watched.process:
                signal_group(watched.process, signal.SIGKILL)

    def _kill_remaining(self) -> None:
        for watched in self._watched:
            if watched.process:
                signal_group(watched.process, signal.SIGKILL)
                watched.process.wait()
                self.guardian.forget(watched.process.pid)
                watched.process = None


def _cause(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
