"""The script of what goes wrong where, and the count of passages that all processes share."""

import fcntl
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from faults.places import PLACES

DEEDS = ("kill", "stop", "error", "sleep")


class Planned(Exception):
    """An error that a script asked for."""


class BadScript(Exception):
    """FAULTS says something that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens at a place, and at which of its passages."""

    place: str
    deed: str
    seconds: float = 0.0
    number: int = 1
    repeats: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that `place:what@when` says; raises BadScript."""
        place, _, rest = text.strip().partition(":")
        what, _, when = rest.partition("@")
        deed, _, seconds = what.partition("=")
        number = when.removeprefix("%") or "1"
        if place not in PLACES:
            raise BadScript(f"There is no place {place!r}; faults/places.py lists them.")
        if deed not in DEEDS or not number.isdecimal() or int(number) < 1:
            raise BadScript(f"{text!r} is no rule: place:kill|stop|error|sleep=S, then @N or @%N.")
        try:
            return cls(place, deed, float(seconds or 0), int(number), when.startswith("%"))
        except ValueError:
            raise BadScript(f"{seconds!r} is no number of seconds.") from None

    def applies_to(self, passage: int) -> bool:
        """Whether it is this passage's turn."""
        return passage % self.number == 0 if self.repeats else passage == self.number

    def strike(self) -> None:
        """Do it."""
        match self.deed:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "sleep":
                time.sleep(self.seconds)
            case "error":
                raise Planned(f"A fault was planned at {self.place}.")


class Script:
    """Rules, and the folder in which passages are counted."""

    def __init__(self, rules: str, folder: Path) -> None:
        self._rules: dict[str, list[Rule]] = {}
        for rule in map(Rule.parse, rules.split(",")):
            self._rules.setdefault(rule.place, []).append(rule)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the script of FAULTS and FAULTS_DIR; raises BadScript."""
        if not environment.get("FAULTS_DIR"):
            raise BadScript("FAULTS needs FAULTS_DIR, the folder where passages are counted.")
        return cls(environment["FAULTS"], Path(environment["FAULTS_DIR"]))

    def pass_by(self, place: str, /) -> None:
        """Count a passage of the place, and do what the rules have for it. Unnamed places are not counted."""
        rules = self._rules.get(place)
        if rules:
            passage = _count(self._folder / place)
            for rule in rules:
                if rule.applies_to(passage):
                    rule.strike()


def passages(folder: Path) -> dict[str, int]:
    """Return how often each place that a script named was passed, by all processes together."""
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.name in PLACES}


def reset(folder: Path) -> None:
    """Start counting from nothing, so that the same script strikes again."""
    for file in folder.iterdir():
        if file.name in PLACES:
            file.unlink()


def _count(file: Path) -> int:
    """Add a passage, as one byte, and return how many there are now; the lock makes each number come once."""
    with file.open("ab") as book:
        fcntl.flock(book, fcntl.LOCK_EX)
        book.write(b".")
        book.flush()
        return book.tell()
