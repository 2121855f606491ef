"""A short selection of the campaign. `make chaos` runs all of it; `tests/acceptance` kills every worker."""

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.rig import ROOT

pytestmark = pytest.mark.acceptance


def test_a_broker_emptied_and_repeated_requests_lose_nothing(tmp_path: Path) -> None:
    asked = ("--rows=F14,F40", "--orders=30", "--scale=0.3", "--no-bars", f"--folder={tmp_path}")
    done = subprocess.run(
        [sys.executable, "-m", "chaos", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rows" in done.stdout
