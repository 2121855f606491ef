"""`make advisories DATA=…`: the lock against a small copy of advisories."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from config.advisories import is_affected, pinned
from launcher.procfile import PROCFILE

LOCK = """\
some-package==1.4.2 \\
    --hash=sha256:00
other.Package[extra]==2.0 ; python_version >= '3.11' \\
    --hash=sha256:11
"""


def advisory(name: str, *, events: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    package = {"ecosystem": more.pop("ecosystem", "PyPI"), "name": name}
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    versions = more.pop("versions", [])
    return {
        "id": "TEST-1",
        "summary": "A hole.",
        "affected": [{"package": package, "ranges": ranges, "versions": versions}],
    } | more


HOLE = advisory("Some_Package", events=[{"introduced": "1.0"}, {"fixed": "1.5"}], aliases=["CVE-2026-1"])


@pytest.fixture
def compare(tmp_path):
    """Compare LOCK with records in a folder; return the exit status and what was printed."""
    (tmp_path / "lock.txt").write_text(LOCK)

    def compare(*records: object, data: Path | None = None) -> tuple[int, str]:
        folder = tmp_path / "osv"
        folder.mkdir()
        for number, record in enumerate(records):
            (folder / f"{number}.json").write_text(json.dumps(record))
        done = subprocess.run(
            [sys.executable, "-m", "config.advisories", str(tmp_path / "lock.txt"), str(data or folder)],
            capture_output=True,
            text=True,
            check=False,
            cwd=PROCFILE.parent,
        )
        return done.returncode, done.stdout + done.stderr

    return compare


def test_a_locked_version_with_a_hole_is_named_with_what_mends_it(compare):
    status, told = compare(HOLE)
    assert status == 1
    assert "some-package 1.4.2: TEST-1 CVE-2026-1 (fixed in 1.5) A hole." in told


def test_others_versions_packages_and_ecosystems_are_no_finding(compare):
    status, told = compare(
        advisory("some-package", events=[{"introduced": "0"}, {"fixed": "1.4.2"}]),
        advisory("some-package", events=[{"introduced": "1.5"}]),
        advisory("a-third-package", events=[{"introduced": "0"}]),
        advisory("some-package", events=[{"introduced": "0"}], ecosystem="npm"),
        HOLE | {"withdrawn": "2026-01-01T00:00:00Z"},
    )
    assert (status, told) == (0, "2 packages, 0 findings.\n")


def test_a_zip_file_as_the_service_exports_it_is_read(compare, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("TEST-1.json", json.dumps(HOLE))
    assert compare(data=tmp_path / "all.zip")[0] == 1


@pytest.mark.parametrize("name", ["osv", "nothing", "lock.txt"])
def test_data_that_are_none_are_not_taken_for_no_finding(compare, tmp_path, name):
    status, told = compare(data=tmp_path / name)
    assert status == 2
    assert told.startswith("Cannot compare: ")


@pytest.mark.parametrize(
    ("version", "events", "expected"),
    [
        ("1.0", [{"introduced": "0"}], True),
        ("1.0", [{"introduced": "1.0"}, {"fixed": "1.1"}], True),
        ("1.1", [{"introduced": "1.0"}, {"fixed": "1.1"}], False),
        ("1.1", [{"introduced": "1.0"}, {"last_affected": "1.1"}], True),
        ("1.2", [{"introduced": "1.0"}, {"last_affected": "1.1"}], False),
        ("2.5", [{"introduced": "1.0"}, {"fixed": "1.1"}, {"introduced": "2.0"}, {"fixed": "3"}], True),
        ("1.10", [{"introduced": "1.2"}, {"fixed": "1.9"}], False),
        ("1.1rc1", [{"introduced": "1.0"}, {"fixed": "1.1"}], True),
    ],
)
def test_ranges_are_read_as_their_format_says(version, events, expected):
    assert is_affected(version, {"ranges": [{"type": "ECOSYSTEM", "events": events}]}) is expected


def test_a_version_that_is_listed_needs_no_range():
    assert is_affected("1.0", {"versions": ["1.0"]})
    assert not is_affected("1.1", {"versions": ["1.0"]})


def test_the_projects_own_lock_is_understood():
    pins = pinned((PROCFILE.parent / "requirements.txt").read_text())
    assert {"django", "celery", "flower"} <= set(pins)
    assert len(pins) > 50
