"""What the tests of hostile callers share: one server for all of them, and a caller that means well."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from intently_server.bundle import Bundle
from support.hostile.normal import NormalCaller
from support.hostile.ordeal import Ordeal
from support.in_memory_server import InMemoryServer, in_memory_server

_CALLS = 50


@pytest.fixture(scope="session")
def server(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMemoryServer]:
    """A server with settings as they are by default. All attacks go to the same one."""
    with in_memory_server(tmp_path_factory.mktemp("hostile"), bundle=bundle_path) as running:
        yield running


@pytest.fixture(scope="session")
def normal_caller(bundle: Bundle) -> Callable[[str], NormalCaller]:
    """Makes a caller, for an address, that knows what the bundle's first golden vector is."""
    golden = bundle.model.golden_vectors[0]
    intent = bundle.model.intents[int(np.argmax(golden.probabilities[: len(bundle.model.intents)]))]
    return lambda address: NormalCaller(address, golden.text, intent)


@pytest.fixture
def ordeal(server: InMemoryServer, normal_caller: Callable[[str], NormalCaller]) -> Ordeal:
    """Attacks that server."""
    return Ordeal(server, normal_caller(server.address), _CALLS)
