"""The examples follow the stream: they are run, and print its events."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.factories import make_user
from tests.notifications.factories import make_quiet_orders
from tests.stream.conftest import relaying, until_stored

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
NODE = shutil.which("node")


@pytest.fixture
def orders(transactional_db) -> list[int]:
    return make_quiet_orders(make_user(), 6)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "follow_stream.py"],
        pytest.param(
            [NODE or "", "follow_stream.mjs"], marks=pytest.mark.skipif(not NODE, reason="needs Node")
        ),
    ],
    ids=["python", "node"],
)
async def test_it_prints_what_follows_a_position(command, nats, nats_server, orders) -> None:
    async with relaying(nats):
        await until_stored(nats, 6)
    variables = {
        "NATS_URL": f"nats://127.0.0.1:{nats_server.port}",
        "NATS_USER": "reader",
        "NATS_PASSWORD": "who-only-reads",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--after", "2", "--count", "4"),
        env=os.environ | variables,
        cwd=EXAMPLES,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await asyncio.wait_for(process.communicate(), 30)
    lines = [line.split() for line in said.decode().splitlines()]
    assert [line[0] for line in lines] == ["3", "4", "5", "6"], complaints.decode()
    assert {line[2] for line in lines} == {"orders.order_placed"}
    assert [line[1].split("-")[1] for line in lines] == [str(order) for order in orders[2:]]
