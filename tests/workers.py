"""How the whole suite is spread over processes, each with engines of its own."""

import os

from xdist.scheduler import LoadScopeScheduling

# It waits more than it computes, so one more than there are cores; and no more than there is work for.
WORKERS = min(4, (os.cpu_count() or 1) + 1)
# Folders whose tests share something that takes long to start.
TOGETHER = ("tests/acceptance/", "tests/notifications/")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker a file at a time, or a folder whose tests share a running system."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)
