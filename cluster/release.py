"""Which code folder the nodes run from: this one, or an older release until they are upgraded."""

import subprocess
import sys
from pathlib import Path

from cluster.plan import BASE_DIR, Plan, PlanError

FILE = "release"


def of(plan: Plan) -> Path:
    file = plan.folder / FILE
    return Path(file.read_text()) if file.exists() else BASE_DIR


def set_to(plan: Plan, folder: Path) -> None:
    """Start nodes from a code folder from now on. Raises PlanError."""
    if not (folder / "cluster" / "node.py").is_file():
        raise PlanError(f"{folder} has no release: it needs cluster/node.py.")
    (plan.folder / FILE).write_text(str(folder.resolve()))


def interpreter(folder: Path) -> str:
    own = folder / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def unpack(plan: Plan, revision: str) -> Path:
    """Return a folder with the code of a git revision. Raises PlanError."""
    folder = plan.folder / "releases" / revision.replace("/", "-")
    if folder.exists():
        return folder
    archive = subprocess.run(["git", "archive", revision], cwd=BASE_DIR, capture_output=True, check=False)  # nosec B607
    if archive.returncode:
        raise PlanError(f"There is no release {revision}: {archive.stderr.decode().strip()}")
    folder.mkdir(parents=True)
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive.stdout, check=True)  # nosec B607
    return folder
