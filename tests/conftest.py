"""What all tests share: the bundle under test, and the check that no process outlives the session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from intently_server.bundle import Bundle, load_bundle
from support.paths import BUNDLE
from support.processes import left_behind, mark_children


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bundle", type=Path, default=BUNDLE, help="Folder of the bundle that the tests serve.")


@pytest.fixture(scope="session")
def bundle_path(request: pytest.FixtureRequest) -> Path:
    """The folder of the bundle under test. Never changed by a test."""
    path: Path = request.config.getoption("--bundle")
    return path


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    """The bundle under test, verified."""
    return load_bundle(bundle_path)


@pytest.fixture(scope="session", autouse=True)
def _no_process_outlives_the_session() -> Iterator[None]:
    mark = mark_children()
    yield
    assert left_behind(mark) == []
