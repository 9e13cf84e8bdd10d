"""What all tests share: the bundle under test, an end for each, and the check that no process outlives the session."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from intently_server.bundle import Bundle, load_bundle
from support.paths import BUNDLE
from support.processes import left_behind, mark_children

_LONGEST_S = 300.0  # of an asynchronous test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bundle", type=Path, default=BUNDLE, help="Folder of the bundle that the tests serve.")


def pytest_configure() -> None:
    settings.register_profile("no-times", deadline=None)  # how long an example takes tells of the machine
    settings.load_profile("no-times")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _ends(item.obj)


def _ends(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """That test, which fails if it waits for what never comes.

    pytest-timeout's signal is no end for it: what its handler raises in a callback of the loop, the loop only logs.
    """

    @functools.wraps(test)
    async def ends(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(_LONGEST_S):
            await test(*args, **kwargs)

    return ends


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
