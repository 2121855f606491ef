"""A node that drains claims nothing more, and a release is a folder with code."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cluster import release
from cluster.plan import BASE_DIR, Plan, PlanError, open_plan
from launcher.data_folder import DataFolder
from orders import batches
from orders.dispatcher import Dispatcher
from orders.models import Batch
from runtime import draining
from tests.factories import make_order
from tests.waiting import until


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return open_plan(DataFolder(tmp_path), network="loopback")


def test_nodes_start_from_this_code_until_a_release_is_set(plan: Plan) -> None:
    assert release.of(plan) == BASE_DIR
    (plan.folder / "new" / "cluster").mkdir(parents=True)
    (plan.folder / "new" / "cluster" / "node.py").touch()
    release.set_to(plan, plan.folder / "new")
    assert release.of(plan) == (plan.folder / "new").resolve()


def test_a_folder_without_code_is_no_release(plan: Plan) -> None:
    with pytest.raises(PlanError, match=r"needs cluster/node\.py"):
        release.set_to(plan, plan.folder)
    with pytest.raises(PlanError, match="no release v0"):
        release.unpack(plan, "v0")


@pytest.fixture
def running(monkeypatch: Any) -> Iterator[threading.Event]:
    """A dispatcher; the event is set whenever it has looked whether it drains."""
    looked, real = threading.Event(), draining.is_draining

    def noted() -> bool:
        found = real()
        looked.set()
        return found

    monkeypatch.setattr(draining, "is_draining", noted)
    monkeypatch.setattr(batches, "send", lambda _: None)
    own = Dispatcher()

    def run() -> None:
        own.run()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield looked
    own.stop()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_dispatcher_claims_nothing_while_its_node_drains(
    settings: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "draining"
    settings.DRAINING_FILE, settings.ORDER_PROCESSING_INTERVAL = str(file), 0.05
    file.touch()
    make_order()
    looked: threading.Event = request.getfixturevalue("running")
    for _ in range(3):
        looked.clear()
        assert looked.wait(10)
    assert not Batch.objects.exists()
    file.unlink()
    until(Batch.objects.exists)
