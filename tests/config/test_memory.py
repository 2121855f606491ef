"""What the launcher does for its memory, and for that of its programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from launcher import memory

SMAPS = """\
7f10-7f20 r-xp 00000000 08:01 77   /lib/read.so
Rss:                  16 kB
Anonymous:             0 kB
7f20-7f30 r--p 00000000 08:01 77   /lib/relocated.so
Anonymous:             4 kB
7f30-7f40 rw-p 00000000 08:01 77   /lib/written.so
Anonymous:             0 kB
7f40-7f50 r-xp 00000000 00:00 0    [vdso]
Anonymous:             0 kB
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no program is forked here")


def mapped_kilobytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss_File:"))


def test_only_what_can_be_read_from_its_file_again_is_unmapped() -> None:
    assert list(memory._unchanged_files(SMAPS)) == [(0x7F10, 0x10)]


def test_pages_of_files_are_unmapped_and_come_back_when_they_are_needed() -> None:
    before = mapped_kilobytes()
    memory.unmap_files()
    assert mapped_kilobytes() < before / 2
    assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
