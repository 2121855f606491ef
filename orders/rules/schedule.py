"""When a journey is due, and which batch may write it. Without I/O."""

from dataclasses import dataclass, field

from orders.status import Status, is_held

# Lane of orders that were placed one by one; bulks have others.
LIVE_LANE = 0
# An order may wait for weeks.
MAX_COUNTED_ATTEMPTS = 1_000


@dataclass(slots=True)
class Schedule:
    """A journey's schedule, under lock. `due_in`: seconds, None at rest."""

    order_id: int
    status: Status
    sequence: int
    batch_id: int | None = None
    attempts: int = 0
    is_due: bool = False
    lane: int = LIVE_LANE
    losses: int = field(default=0, init=False)
    due_in: float | None = field(default=None, init=False)
    reschedule: bool = field(default=False, init=False)
    has_news: bool = field(default=False, init=False)  # to be saved, without an event

    @property
    def is_bulk(self) -> bool:
        return self.lane != LIVE_LANE

    @property
    def is_held(self) -> bool:
        return is_held(self.status, is_due=self.is_due)

    @property
    def found_no_capacity(self) -> bool:
        """Whether a leg had no room at its provider: the claim counts as no attempt."""
        return self.batch_id is not None and self.attempts == 0

    def no_capacity(self) -> None:
        """Keep the batch, in which other legs are under way. No attempt."""
        self.attempts, self.has_news = 0, True
        if self.batch_id is None:
            self.reschedule_in(0)

    def defer(self, seconds: float) -> None:
        """Due in `seconds`, in its batch."""
        self.reschedule, self.due_in = True, seconds

    def reschedule_in(self, seconds: float) -> None:
        """Due in `seconds`, without batch."""
        self.defer(seconds)
        self.batch_id = None

    def rest(self) -> None:
        self.reschedule, self.due_in, self.batch_id, self.attempts = True, None, None, 0
