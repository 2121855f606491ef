"""A worker goes on fetching messages after the broker did not answer for a while."""

import secrets
import signal
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Queue
from redis.exceptions import RedisError

from config.engines import free_port, start_engine, stop_engine
from config.engines.valkey import Valkey


@pytest.mark.parametrize("verdict", ["ack", "reject"])
def test_a_message_whose_end_the_broker_did_not_confirm_keeps_no_place(tmp_path: Path, verdict: str) -> None:
    valkey = Valkey(folder=tmp_path / "valkey", port=free_port(), password=secrets.token_hex(8))
    process = start_engine(valkey)
    try:
        impatient = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
        with Connection(f"{valkey.url}/0", transport_options=impatient) as connection:
            channel: Any = connection.default_channel
            channel.basic_qos(0, 1, False)
            connection.Producer(channel).publish({}, routing_key="q", declare=[Queue("q")])
            message = Queue("q")(channel).get(no_ack=False)
            assert message is not None
            assert not channel.qos.can_consume()
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(RedisError):
                getattr(message, verdict)()
            process.send_signal(signal.SIGCONT)
            assert channel.qos.can_consume()
    finally:
        process.send_signal(signal.SIGCONT)
        stop_engine(valkey, process)
