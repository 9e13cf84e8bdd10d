"""One real server in a process for the tests that only ask it: it takes half a minute to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server_process import ServerProcess, running_server


@pytest.fixture(scope="package")
def exact(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that computes in float32 and has no admin port. Never changed by a test."""
    flags = ("--dtype", "float32", "--admin-address", "")
    with running_server(bundle_path, tmp_path_factory.mktemp("exact"), *flags) as server:
        yield server
