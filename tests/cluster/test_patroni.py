"""What the cluster sets in Patroni beyond its settings."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

STARTER = Path(__file__).parents[2] / "cluster" / "quick_patroni.py"


def test_patroni_still_has_the_poll_that_the_cluster_shortens():
    pytest.importorskip("patroni", reason="Patroni is in requirements-cluster.txt only")
    done = subprocess.run(
        [sys.executable, "-P", STARTER, "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout.rstrip().endswith(version("patroni"))
