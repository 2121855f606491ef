"""A leg costs at most a dozen files: the example's patch, applied to a copy of the project, works as a whole."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from launcher.procfile import PROCFILE

ROOT = PROCFILE.parent
PATCH = ROOT / "examples/fraud_leg/leg.patch"
MOST_FILES = 12
# Compiled files are copied: they stay valid, as the copies keep their times.
NOT_COPIED = shutil.ignore_patterns(".*", "node_modules", "docs", "*.png", "chaos", "bench", "attacks")
# What the outer run sets for itself.
OWN = (
    "DATABASE_URL",
    "REDIS_URL",
    "DJANGO_SETTINGS_MODULE",
    "DATA_DIR",
    "SANDBOX_PORT",
    "PYTEST_CURRENT_TEST",
)


def copy_of_project(folder: Path) -> Path:
    """Copy what the leg's tests need, and apply the patch."""
    copy = folder / "project"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    (copy / "docs").mkdir()
    shutil.copy(ROOT / "docs/asyncapi.yaml", copy / "docs/asyncapi.yaml")
    subprocess.run(["git", "apply", "-C1", str(PATCH)], cwd=copy, check=True)
    follow_the_latest_migration(copy / "orders/migrations")
    return copy


def follow_the_latest_migration(folder: Path) -> None:
    """Have the leg's migration depend on the newest of the project, whatever was added since the patch."""
    (migration,) = folder.glob("*_fraud_leg.py")
    latest = max(path.stem for path in folder.glob("0*.py") if path != migration)
    text = re.sub(r"\('orders', '\w+'\)", f"('orders', '{latest}')", migration.read_text())
    migration.write_text(text)


def test_a_leg_costs_at_most_a_dozen_files() -> None:
    touched = re.findall(r"^diff --git a/(\S+) ", PATCH.read_text(), re.MULTILINE)
    assert len([path for path in touched if not path.startswith("tests/orders/")]) <= MOST_FILES


def test_the_leg_works_in_a_copy_of_the_project(tmp_path: Path) -> None:
    """Its tests cover boot checks, migrations, orders of each kind, pages, the audit and the simulation."""
    copy = copy_of_project(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/orders/test_fraud_leg.py",
    ]
    done = subprocess.run(
        command, check=False, cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
