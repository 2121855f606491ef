"""What a leg of an order's journey is. The legs: `orders.legs`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from orders.events import EventType


class Mark(StrEnum):
    """What a leg's state means for the order."""

    OPEN = "open"  # not tried, or its outcome is unknown
    AWAY = "away"  # waits, and nothing was sent
    UNANSWERED = "unanswered"  # waits for the outcome of what was sent
    DONE = "done"
    REFUSED = "refused"  # the order is rejected
    RELEASED = "released"  # reversed, or nothing to reverse
    PERSON = "person"  # staff decide


TO_TRY = frozenset({Mark.OPEN, Mark.AWAY, Mark.UNANSWERED})
LIGHTS = {
    Mark.OPEN: "open",
    Mark.AWAY: "open",
    Mark.UNANSWERED: "open",
    Mark.DONE: "done",
    Mark.REFUSED: "refused",
    Mark.RELEASED: "returned",
    Mark.PERSON: "held",
}


class Wait(str):
    """What an order waits for: its code in the database and on the wire."""

    __slots__ = ("is_patient", "leg", "mark", "retry_seconds", "words")

    leg: str  # "" if no leg in particular
    mark: Mark
    words: str  # after "waiting for", for operators
    retry_seconds: float | None  # None: back-off, and each retry is an attempt
    is_patient: bool  # for a decision that takes its time: no trouble, neither of ours nor of the provider's

    def __new__(
        cls,
        code: str,
        words: str,
        *,
        mark: Mark = Mark.AWAY,
        retry_seconds: float | None = None,
        is_patient: bool = False,
    ) -> "Wait":
        wait = super().__new__(cls, code)
        wait.is_patient = is_patient
        wait.leg, wait.mark, wait.words, wait.retry_seconds = "", mark, words, retry_seconds
        return wait


class State(str):
    """A state of a leg. Compare by identity, or with a column."""

    # Hot path: slots are read faster.
    __slots__ = (
        "approved_as",
        "customer_text",
        "event",
        "follows",
        "good",
        "holds",
        "is_refused",
        "is_to_try",
        "leg",
        "light",
        "mark",
        "wait",
        "weight",
        "words",
    )

    leg: str
    mark: Mark
    event: EventType | None
    words: str  # for operators and on pages
    customer_text: str  # the event as a sentence, for customers
    weight: int  # percent of the order's progress
    good: bool  # allows the capture
    holds: bool  # to be reversed if the order is undone
    wait: Wait | None
    light: str
    follows: tuple["State", ...]  # earlier states with events of their own
    approved_as: str  # the code of the state to which staff may approve it
    is_refused: bool
    is_to_try: bool

    def __new__(
        cls,
        code: str,
        mark: Mark,
        words: str,
        *,
        event: EventType | None = None,
        customer_text: str = "",
        weight: int = 0,
        good: bool = False,
        holds: bool = False,
        wait: Wait | None = None,
        light: str = "",
        follows: tuple["State", ...] = (),
        approved_as: str = "",
    ) -> "State":
        state = super().__new__(cls, code)
        state.leg, state.mark, state.words, state.event, state.customer_text = (
            "",
            mark,
            words,
            event,
            customer_text,
        )
        state.weight, state.good, state.holds, state.wait = weight, good, holds, wait
        state.light, state.follows, state.approved_as = light or LIGHTS[mark], follows, approved_as
        state.is_refused, state.is_to_try = mark is Mark.REFUSED, mark in TO_TRY
        return state

    @property
    def code(self) -> str:
        return str(self)


class Leg:
    """A part of an order's journey, in a column of its name. Subclasses declare states as class attributes."""

    name: ClassVar[str]
    title: ClassVar[str]
    short_title: ClassVar[str]  # on a card
    customers_title: ClassVar[str]
    queue: ClassVar[str]
    step: ClassVar[str]  # in `orders.steps`
    way_back: ClassVar[str] = ""  # the step that reverses it
    after: ClassVar[tuple["Leg", ...]] = ()  # legs that must be good before it is tried
    provider: ClassVar[str] = ""  # in settings.PROVIDERS; it is not called for a refused order
    # Waits that no state records. Of one leg at most: the column is shared.
    waits_in_any_state: ClassVar[tuple[Wait, ...]] = ()
    confirmed_as: ClassVar[State]
    completed_as: ClassVar[State]
    also_confirmed_as: ClassVar[tuple[State, ...]] = ()
    PENDING: ClassVar[State]
    states: ClassVar[dict[str, State]]

    def __init_subclass__(cls) -> None:
        cls.states = {str(state): state for state in vars(cls).values() if isinstance(state, State)}
        for state in cls.states.values():
            state.leg = cls.name
        for wait in cls.waits():
            wait.leg = cls.name

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def waits(cls) -> tuple[Wait, ...]:
        return (*cls.waits_in_any_state, *(state.wait for state in cls.states.values() if state.wait))

    @classmethod
    def task(cls, step: str) -> str:
        """Return the name of a step's task: its prefix selects the queue."""
        return f"{cls.queue}.{step}"

    @classmethod
    def state(cls, code: str) -> State:
        """Return the state of a code, for pages; a newer release's code is open and named by itself."""
        return cls.states.get(code) or State(code, Mark.OPEN, code.replace("_", " "))


class Reached(NamedTuple):
    state: State
    reason: str = ""
    data: Mapping[str, Any] = {}


# By order id. None: no capacity. Absent: nothing is known yet.
Outcomes = Mapping[int, Reached | None]
