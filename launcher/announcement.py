"""What the launcher prints when the system is ready: addresses and logins."""

import http.client
import os
import sys
import time
from pathlib import Path

from launcher.console import Console

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
LATE_SECONDS = 60.0
HEALTH_SECONDS = 2.5  # /health takes at most 2 s

# Role, name and password variable; `manage.py demo` creates the accounts.
DEMO_ACCOUNTS = (
    ("admin", "admin", "DEMO_ADMIN_PASSWORD"),
    ("operator", "operator", "DEMO_OPERATOR_PASSWORD"),
    ("customer", "demo", "DEMO_CUSTOMER_PASSWORD"),
)


class Announcement:
    """Polls /health at each tick; prints addresses and logins once it is ready."""

    def __init__(self, environment: dict[str, str], console: Console) -> None:
        self._environment = environment
        self._console = console
        self._started_at = time.monotonic()
        self._is_done = False
        self._is_late = False

    def __call__(self) -> bool:
        """Return whether it is printed."""
        if self._is_done:
            return True
        host, port = _reachable(self._environment["HOST"]), int(self._environment["PORT"])
        reason = _why_not_ready(host, port)
        waited = time.monotonic() - self._started_at
        if reason is None:
            self._is_done = True
            self._console.text(table(self._environment))
        elif waited > LATE_SECONDS and not self._is_late:
            self._is_late = True
            self._console.text(f"Not ready after {waited:.0f} s ({reason}); still trying.")
        return self._is_done


def _why_not_ready(host: str, port: int) -> str | None:
    """Return None when /health is 200, otherwise the reason."""
    connection = http.client.HTTPConnection(host, port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"/health: {error}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"/health answers {status}"


def table(environment: dict[str, str]) -> str:
    base = f"http://{shown(environment['HOST'])}:{environment['PORT']}"
    flower_user, _, flower_password = environment["FLOWER_BASIC_AUTH"].partition(":")
    rows = [
        ("Live board", f"{base}/"),
        ("API", f"{base}/api"),
        ("Swagger", f"{base}/swagger"),
        ("Admin", f"{base}/admin/"),
        ("Health", f"{base}/health"),
        ("Flower", f"{environment['FLOWER_URL']}   {flower_user} / {flower_password}"),
    ]
    if environment["DEMO"] == "1":
        rows += [
            (f"Login {role}", f"{name} / {environment[variable]}") for role, name, variable in DEMO_ACCOUNTS
        ]
    else:
        # Outside the demo its accounts are disabled.
        rows.append(("First login", f"{_manage(environment)} createsuperuser"))
    lines = [f"  {title:<16}{value}" for title, value in rows]
    return "\n".join(["", "Ready. Press Ctrl-C to stop.", "", *lines, ""])


def _manage(environment: dict[str, str]) -> str:
    """Return the `manage.py` command line for this system; it finds the default folder itself."""
    folder = environment["DATA_DIR"]
    elsewhere = "" if Path(folder) == BASE_DIR / ".data" else f"DATA_DIR={folder} "
    return f"{elsewhere}{os.path.relpath(sys.executable)} manage.py"


def _reachable(host: str) -> str:
    return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def shown(host: str) -> str:
    place = _reachable(host)
    return "localhost" if place in (LOOPBACK, "::1") else place
