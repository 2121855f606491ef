"""The plan of a cluster is kept; its addresses lead a client to whichever server leads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import environ
import pytest

from cluster import environment
from cluster.node import engines_of
from cluster.plan import Plan, PlanError, open_plan, running_plan
from launcher.data_folder import DataFolder
from launcher.engines.roles import ROLE


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return open_plan(DataFolder(tmp_path), network="loopback")


def test_it_is_the_same_at_the_next_start_and_for_others(plan: Plan) -> None:
    assert open_plan(DataFolder(plan.folder), network="loopback") == plan
    assert running_plan(plan.folder) == plan
    assert ((plan.folder / "plan.json").stat().st_mode & 0o077) == 0


def test_without_one_there_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="make cluster"):
        running_plan(tmp_path)


def test_there_is_no_fourth_node(plan: Plan) -> None:
    with pytest.raises(PlanError, match="no node 4"):
        plan.node(4)


def test_a_node_tries_its_own_database_first_and_takes_only_one_that_takes_writes(plan: Plan) -> None:
    variables = environment.of_node(plan, plan.node(2))
    found = environ.Env.db_url_config(variables["DATABASE_URL"])
    assert found["HOST"].split(",") == ["127.0.0.12", "127.0.0.11", "127.0.0.13"]
    assert found["OPTIONS"] == {"target_session_attrs": "read-write"}
    assert variables["NODE_ID"] == "node-2"


def test_no_password_stands_in_a_command(plan: Plan) -> None:
    for node in plan.nodes:
        for engine in engines_of(plan, node):
            words = " ".join(engine.argv())
            assert not [name for name, secret in plan.secrets.items() if secret in words]


def test_postgresql_acknowledges_what_two_copies_have(plan: Plan) -> None:
    patroni = engines_of(plan, plan.node(1))[0]
    patroni.prepare()
    settings = json.loads((plan.node(1).folder / "postgres" / "patroni.json").read_text())
    dynamic = settings["bootstrap"]["dcs"]
    assert (dynamic["synchronous_mode"], dynamic["primary_start_timeout"]) == ("quorum", 0)
    assert settings["raft"]["bind_addr"].startswith("127.0.0.11:")


def test_a_cluster_without_nats_does_not_start() -> None:
    variables = os.environ | {"DEPLOYMENT_MODE": "cluster", "NATS_URL": ""}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "NATS_URL" in done.stderr


def test_the_application_is_no_superuser_of_postgresql(plan: Plan) -> None:
    variables = environment.of_node(plan, plan.node(1))
    for name in ("DATABASE_URL", "DATABASE_REPLICA_URL"):
        assert environ.Env.db_url_config(variables[name])["USER"] == ROLE
    assert plan.secrets["SUPERUSER_PASSWORD"] not in variables.values()
    assert plan.secrets["SUPERUSER_PASSWORD"] not in variables["DATABASE_URL"]


def test_data_of_an_earlier_release_keep_the_password_of_their_superuser(plan: Plan) -> None:
    file = plan.folder / "plan.json"
    kept = json.loads(file.read_text())
    del kept["secrets"]["SUPERUSER_PASSWORD"]
    file.write_text(json.dumps(kept))
    assert (
        open_plan(DataFolder(plan.folder), network="loopback").secrets["SUPERUSER_PASSWORD"]
        == (kept["secrets"]["DATABASE_PASSWORD"])
    )
