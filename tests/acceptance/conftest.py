"""One stack for all acceptance tests: starting it takes a while, and its users share it too."""

from collections.abc import Iterator

import pytest

from tests.acceptance.stack import Stack, running_stack


@pytest.fixture(autouse=True)
def _end_of_test(request: pytest.FixtureRequest) -> Iterator[None]:
    running = request.getfixturevalue("stack") if "stack" in request.fixturenames else None
    yield
    if running is not None:
        running.note_end_of_test()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running system, as `make run` leaves it. After its stop the ledger must balance."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
        report = running.manage("audit")
        assert report.returncode == 0, report.stdout + report.stderr
        assert running.stop() == 0
