"""Rules of fault injection, and shared passage counts."""

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
    """An injected error."""


class BadScript(Exception):
    """FAULTS is not valid."""


@dataclass(frozen=True, slots=True)
class Rule:
    place: str
    deed: str
    seconds: float = 0.0
    number: int = 1
    repeats: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule `place:what@when`. Raises BadScript."""
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
        return passage % self.number == 0 if self.repeats else passage == self.number

    def strike(self) -> None:
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
    def __init__(self, rules: str, folder: Path) -> None:
        self._rules: dict[str, list[Rule]] = {}
        for rule in map(Rule.parse, rules.split(",")):
            self._rules.setdefault(rule.place, []).append(rule)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the script of the environment. Raises BadScript."""
        if not environment.get("FAULTS_DIR"):
            raise BadScript("FAULTS needs FAULTS_DIR, the folder where passages are counted.")
        return cls(environment["FAULTS"], Path(environment["FAULTS_DIR"]))

    def pass_by(self, place: str, /) -> None:
        rules = self._rules.get(place)
        if rules:
            passage = _count(self._folder / place)
            for rule in rules:
                if rule.applies_to(passage):
                    rule.strike()


def passages(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.name in PLACES}


def reset(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name in PLACES:
            file.unlink()


def _count(file: Path) -> int:
    """Append a byte and return the count; the lock makes numbers unique."""
    with file.open("ab") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.write(b".")
        counter.flush()
        return counter.tell()
