"""`python -m config.advisories LOCK DATA`: check locked dependencies against published advisories, offline.

DATA: folder or zip file of OSV records in JSON, as https://osv.dev exports them for PyPI.
Exit status: 0 clean, 1 findings, 2 if DATA or LOCK cannot be read.
"""

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
ECOSYSTEM = "PyPI"


class UnreadableData(Exception):
    """Advisories or lock file cannot be read; the message has the reason."""


@dataclass(frozen=True, order=True)
class Finding:
    """An advisory that affects a locked version."""

    package: str
    version: str
    advisory: str
    fixed: str  # versions with the fix, may be empty
    summary: str


def pinned(text: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PIN.findall(text)}


def records(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the OSV records. Raises UnreadableData, also if there are none."""
    count = 0
    for name, text in _files(data):
        try:
            record = json.loads(text)
        except ValueError:
            raise UnreadableData(f"{name} is not JSON.") from None
        if not isinstance(record, dict) or "affected" not in record:
            continue
        count += 1
        yield record
    if not count:
        raise UnreadableData(f"{data} holds no OSV records: nothing has been compared.")


def findings(pins: dict[str, str], advisories: Iterator[dict[str, Any]]) -> list[Finding]:
    found = set()
    for record in advisories:
        if record.get("withdrawn"):
            continue
        for affected in record["affected"]:
            package = affected.get("package", {})
            name = canonicalize_name(package.get("name", ""))
            if package.get("ecosystem") == ECOSYSTEM and name in pins and is_affected(pins[name], affected):
                fixed = ", ".join(sorted(_fixes(affected)))
                summary = str(record.get("summary") or record.get("details", "")).partition("\n")[0]
                found.add(Finding(name, pins[name], _name_of(record), fixed, summary[:120]))
    return sorted(found)


def is_affected(version: str, affected: dict[str, Any]) -> bool:
    """Whether a version is affected, by list or range."""
    if version in affected.get("versions", []):
        return True
    ranges = (r for r in affected.get("ranges", []) if r.get("type") in ("ECOSYSTEM", "SEMVER"))
    return any(_is_within(version, r.get("events", [])) for r in ranges)


def _is_within(text: str, events: list[dict[str, str]]) -> bool:
    """OSV's evaluation: events ordered by version open and close the range."""
    try:
        version = Version(text)
        ordered = sorted((Version(value), kind) for event in events for kind, value in event.items())
    except InvalidVersion:
        return False  # such a record lists its versions
    inside = False
    for at, kind in ordered:
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


def _fixes(affected: dict[str, Any]) -> set[str]:
    return {e["fixed"] for r in affected.get("ranges", []) for e in r.get("events", []) if "fixed" in e}


def _name_of(record: dict[str, Any]) -> str:
    return " ".join([str(record.get("id", "?")), *map(str, record.get("aliases", []))])


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if data.is_dir():
            for path in sorted(data.rglob("*.json")):
                yield str(path), path.read_bytes()
            return
        with zipfile.ZipFile(data) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield name, archive.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise UnreadableData(f"{data} cannot be read as a folder or a zip file: {error}.") from None


def main(lock: str, data: str) -> int:
    try:
        pins = pinned(Path(lock).read_text())
        found = findings(pins, records(Path(data)))
    except (UnreadableData, OSError) as error:
        print(f"Cannot compare: {error}", file=sys.stderr)  # noqa: T201
        return 2
    for one in found:
        mended = f"fixed in {one.fixed}" if one.fixed else "not fixed yet"
        print(f"{one.package} {one.version}: {one.advisory} ({mended}) {one.summary}")  # noqa: T201
    print(f"{len(pins)} packages, {len(found)} findings.")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m config.advisories LOCK DATA")
    sys.exit(main(*sys.argv[1:]))
