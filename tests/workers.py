"""How the whole suite is spread over processes, each with engines of its own."""

import os

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# It waits more than it computes, so one more than there are cores; and no more than there is work for.
WORKERS = min(4, (os.cpu_count() or 1) + 1)
# Folders whose tests share something that takes long to start.
TOGETHER = ("tests/acceptance/", "tests/notifications/")
# The slowest start first, so that no worker idles at the end.
FIRST = ("tests/acceptance/", "tests/simulation/", "tests/config/test_run.py", "tests/chaos/")


def slowest_first(items: list[pytest.Item]) -> None:
    """Sort the tests into the order in which they are handed out."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


class ByFile(LoadScopeScheduling):
    """Gives a worker a file at a time, or a folder whose tests share a running system."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # in our order, not by their numbers

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)
