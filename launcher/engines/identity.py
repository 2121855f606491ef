"""The account for PostgreSQL, which refuses root and uids without a name."""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from launcher.engines import EngineError

PLACE_FOR_ROOT = Path("/var/lib")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How to run a command: behind `prefix`, or (as root) as `account`."""

    prefix: tuple[str, ...] = ()
    account: pwd.struct_passwd | None = None

    def own(self, path: Path) -> None:
        """Change the owner of a file or folder to the account."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def reachable(self, folder: Path) -> Path:
        """Return the folder, or one in /var/lib if the account cannot enter its parents."""
        if self.account is None or _is_open(folder.parent.resolve()):
            return folder
        digest = hashlib.sha256(str(folder.parent.resolve()).encode()).hexdigest()[:12]
        home = PLACE_FOR_ROOT / f"order-pipeline-{digest}"
        home.mkdir(mode=0o711, exist_ok=True)
        return home / folder.name


@cache
def unprivileged() -> Identity:
    """Return the first way that works. Raises EngineError if none does.

    1. An ordinary account runs PostgreSQL itself.
    2. Root, or a uid without a name, maps itself to an unprivileged account in a user namespace: files stay ours.
    3. Root without namespaces (Docker's default) runs it as that account.
    """
    if os.geteuid() != 0 and _is_named(os.geteuid()):
        return Identity()
    nobody = _nobody()
    namespace = ("unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--")
    if shutil.which("unshare") and _succeeds((*namespace, "true")):
        return Identity(prefix=namespace)
    if os.geteuid() == 0:
        return Identity(account=nobody)
    raise EngineError(
        f"PostgreSQL cannot run as uid {os.geteuid()}, which has no name here; set DATABASE_URL."
    )


def _is_named(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise EngineError("PostgreSQL needs the account `nobody` here; set DATABASE_URL instead.") from error


def _succeeds(argv: tuple[str, ...]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _is_open(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))
