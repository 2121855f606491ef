"""Chance, all of it from one seed: which faults a world knows, how often, and when."""

import random
from dataclasses import asdict, dataclass, fields
from typing import Self

LEVELS = (0.0, 0.0, 0.3, 1.0)  # a fault is absent in half of the worlds: rare ones show best on their own


@dataclass(frozen=True, slots=True)
class Rates:
    """How likely each thing is when it could happen."""

    crash: float = 0.03  # at a kill point
    freeze: float = 0.02  # at a kill point: for seconds, past the lease
    planned_error: float = 0.004  # at a kill point: an exception that no code expects
    commit_lost_before: float = 0.004  # the connection broke, nothing was written
    commit_lost_after: float = 0.004  # the connection broke, and all of it was
    message_lost: float = 0.06
    message_twice: float = 0.06
    message_late: float = 0.06
    body_early: float = 0.05  # a chord's body before its header is through
    send_fails: float = 0.03  # the broker is away
    unanswered_before: float = 0.08  # a call times out and nothing was done
    unanswered_after: float = 0.08  # … and it was done
    arrives_late: float = 0.05  # … and it is done some time afterwards
    not_sent: float = 0.06
    refuses_return: float = 0.05  # a void or refund is declined
    fails_later: float = 0.1  # a refund succeeds, and fails some time afterwards
    undecided: float = 0.08  # the provider has the call, and decides some time afterwards
    slow: float = 0.05  # an answer comes after its batch has gone on
    crowded: float = 0.1  # the loop has no room for a batch's calls
    down: float = 0.3  # the provider is away for a while

    @classmethod
    def drawn(cls, dice: random.Random) -> Self:
        """Return the rates of one world: each fault absent, rare or common."""
        return cls(**{field.name: getattr(cls(), field.name) * dice.choice(LEVELS) for field in fields(cls)})


class Dice(random.Random):
    """The one source of chance of a world."""

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        super().__init__(seed)
        self.rates = asdict(Rates.drawn(self))
        self.calm = calm  # once it is, nothing goes wrong any more

    def happens(self, fault: str) -> bool:
        """Whether a fault happens now."""
        return not self.calm and self.random() < self.rates[fault]

    def commit(self) -> str:
        """Return what becomes of a commit."""
        if self.happens("commit_lost_before"):
            return "lost before"
        return "lost after" if self.happens("commit_lost_after") else "committed"
