"""What tests of conversations with a provider share: a key, and a server in its place that misbehaves."""

import uuid
from collections.abc import Iterator

import pytest

from sandbox.process import SandboxProcess
from tests.providers.raw_server import RawServer


@pytest.fixture
def raw_server(settings, sandbox: SandboxProcess) -> Iterator[RawServer]:
    server = RawServer()
    settings.PROVIDERS = {"payments": server.url}
    yield server
    server.close()


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())
