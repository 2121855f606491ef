"""The Procfile: `name: command` per line, as honcho, foreman and Heroku read it.

`python -m launcher.procfile NAME` execs that process.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"^(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)$")
VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\})")
PROCFILE = Path(__file__).resolve().parent.parent / "Procfile"
ASSIGNMENT = re.compile(r"^(?P<name>[A-Za-z_]\w*)=(?P<value>.*)$", re.DOTALL)


class ProcfileError(Exception):
    """A line cannot be run."""


@dataclass(frozen=True)
class Entry:
    name: str
    command: str


def parse(text: str) -> list[Entry]:
    """Return the entries. Raises ProcfileError."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LINE.match(line)
        if not match:
            raise ProcfileError(f"Procfile line {number} is not of the form `name: command`.")
        if match["name"] in entries:
            raise ProcfileError(f"Procfile line {number} names {match['name']} a second time.")
        entries[match["name"]] = Entry(match["name"], match["command"].strip())
    return list(entries.values())


def expand(command: str, environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command's words and the variables it sets, without a shell.

    Supports quotes, `$NAME`, `${NAME}`, `${NAME:-default}` and leading `NAME=value`. Raises ProcfileError.
    """
    try:
        words = shlex.split(_substitute(command, environment))
    except ValueError as error:
        raise ProcfileError(f"`{command}`: {error}.") from error
    assignments: dict[str, str] = {}
    while words and (match := ASSIGNMENT.match(words[0])):
        assignments[match["name"]] = match["value"]
        del words[0]
    if not words:
        raise ProcfileError(f"`{command}` names no program.")
    return words, assignments


def _substitute(command: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["plain"] or match["braced"]
        found = environment.get(name) or match["default"]
        if found is None:
            raise ProcfileError(f"`{command}` needs {name}, which is not set.")
        return shlex.quote(found) if found else ""

    return VARIABLE.sub(value, command)


def become(name: str) -> None:
    """Exec the process called `name`. Raises ProcfileError."""
    commands = {entry.name: entry.command for entry in parse(PROCFILE.read_text())}
    if name not in commands:
        raise ProcfileError(f"The Procfile has no {name!r}, only {', '.join(commands)}.")
    argv, assignments = expand(commands[name], os.environ)
    os.execvpe(argv[0], argv, os.environ | assignments)  # noqa: S606 - deliberately without a shell


def main() -> None:
    try:
        become(sys.argv[1] if len(sys.argv) == 2 else "")
    except (ProcfileError, OSError) as error:
        sys.exit(f"Cannot start: {error}")


if __name__ == "__main__":
    main()
