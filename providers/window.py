"""A provider's concurrency limit: additive increase, multiplicative decrease, slow start after failures."""

from dataclasses import dataclass, field
from math import inf

FIRST = 1024
STEP, GROWTH = 16, 0.1  # calls per round, or this share of the window if more
SHORTEST_ROUND = 0.05  # seconds
TRIED = 0.25

AFTER_THROTTLED, AFTER_FAILURES = 0.5, 0.7
# Floors. Only throttling proves overload: fewer calls would make other failures worse.
LEAST_THROTTLED, LEAST_FAILING, LEAST_SLOW = 4, 32, 64
FAILURES = 0.1
# Relative to the fastest rounds, and in seconds more.
SLOW, SLOW_SECONDS = 2.0, 0.25


@dataclass(slots=True)
class Window:
    """A process's bound on calls to a provider. Moments are monotonic."""

    most: int
    size: float = 0.0
    usual: float = 0.0  # recent seconds per call
    not_before: float = 0.0  # throttled until then
    _fastest: float = inf
    _threshold: float = inf  # below it the window doubles, as TCP's
    _resized_at: float = -inf
    _is_shrinking: bool = False
    _round_ends: float = 0.0
    _seconds: list[float] = field(default_factory=list)
    _answers: int = 0
    _failures: int = 0
    _throttled: bool = False
    _was_full: bool = False

    def __post_init__(self) -> None:
        self.size = float(min(self.most, FIRST))

    @property
    def allowance(self) -> int:
        """Return the bound on calls under way or queued: queued ones start within a second."""
        spare = min(1.0, 1.0 / self.usual) if self.usual else 1.0
        return int(self.size * (1 + spare))

    def room(self, under_way: int, *, now: float) -> int:
        return 0 if now < self.not_before else max(0, int(self.size) - under_way)

    def crowded(self) -> None:
        self._was_full = True

    def answered(self, seconds: float, *, now: float) -> None:
        self._answers += 1
        if self._fastest == inf:
            self._fastest = self.usual = seconds
        # Calls that began before measure an earlier size.
        if now - seconds >= self._resized_at:
            self._seconds.append(seconds)
        self._judge(now)

    def failed(self, *, now: float) -> None:
        self._failures += 1
        self._judge(now)

    def throttled(self, retry_after: float | None, *, now: float) -> None:
        self._throttled = True
        self._failures += 1
        if retry_after:
            self.not_before = max(self.not_before, now + retry_after)
        self._judge(now)

    def _judge(self, now: float) -> None:
        if now < self._round_ends or not (self._throttled or self._is_tried()):
            return
        if self._seconds:
            ranked = sorted(self._seconds)
            self.usual = ranked[len(ranked) // 2]  # stragglers are not load
            self._fastest = min(self.usual, self._fastest)
        before = self.size
        self._resize()
        if self.size != before:
            self._resized_at = now
        self._round_ends = now + max(SHORTEST_ROUND, min(self.usual, 1.0))
        self._seconds.clear()
        self._answers, self._failures, self._throttled, self._was_full = 0, 0, False, False

    def _is_tried(self) -> bool:
        """Whether enough calls have ended to judge the size by: a part of it, where all of it is used."""
        return self._failures + len(self._seconds) >= (self.size * TRIED if self._was_full else 1)

    def _resize(self) -> None:
        total = self._failures + self._answers
        bearable = self._fastest * SLOW + SLOW_SECONDS
        if self._throttled:
            self._shrink(AFTER_THROTTLED, LEAST_THROTTLED)
            self._threshold = self.size
        elif self._failures > max(1.0, FAILURES * total):
            self._shrink(AFTER_FAILURES, LEAST_FAILING)
        elif not self._seconds:
            return
        elif self.usual > bearable and self.size > LEAST_SLOW:
            # Calls that wait for each other take as long as there are many.
            self._shrink(bearable / self.usual, LEAST_SLOW)
        elif self.usual > bearable:
            self._fastest = self.usual  # so few do not: the provider is slower
        elif self._was_full and self.usual <= bearable / 2:
            steps = self.size + max(STEP, GROWTH * self.size)
            self.size = min(float(self.most), max(steps, min(self.size * 2, self._threshold)))
            self._is_shrinking = False

    def _shrink(self, factor: float, least: int) -> None:
        if not self._is_shrinking:
            # What the provider bore before; however long it fails, the window is back there within a few rounds.
            self._threshold = self.size * max(factor, AFTER_THROTTLED)
            self._is_shrinking = True
        self.size = max(min(self.size, float(least)), self.size * factor)
