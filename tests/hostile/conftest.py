"""What the tests of hostile callers share: one server for all of them, and a caller that means well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from intently_server.bundle import Bundle
from support.hostile.normal import normal_caller
from support.hostile.ordeal import Ordeal
from support.in_memory_server import InMemoryServer, in_memory_server

_CALLS = 25


@pytest.fixture(scope="session")
def server(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMemoryServer]:
    """A server with settings as they are by default. All attacks go to the same one."""
    with in_memory_server(tmp_path_factory.mktemp("hostile"), bundle=bundle_path) as running:
        yield running


@pytest.fixture
def ordeal(server: InMemoryServer, bundle: Bundle) -> Ordeal:
    """Attacks that server."""
    return Ordeal(server, normal_caller(bundle.model, server.address), _CALLS)
