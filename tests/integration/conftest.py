"""What the integration tests share: a server with the engine in memory, its certificates, and a watch over the log."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import uvloop

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.certificates import ServerFiles, issue
from support.in_memory import InMemory, StartInMemory
from support.memory_engine import Logits, MemoryEngineFactory, logits_for
from support.serving import serving

if TYPE_CHECKING:
    from support.reference import Reference


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the engine in memory takes seconds: one that waits for what never comes fails in a minute."""
    for item in items:
        here = Path(__file__).parent in item.path.parents
        if here and item.path.name.startswith("test_serving_") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture
async def start_in_memory(bundle_path: Path) -> AsyncIterator[StartInMemory]:
    """Starts servers with the engine in memory; settings are the keyword arguments. Ends them with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**settings: Any) -> InMemory:
            factory = MemoryEngineFactory()
            served = await stack.enter_async_context(serving(bundle_path, factory, **settings))
            stack.callback(factory.engine.release)
            factory.engine.prompts.clear()  # those of the warm-up
            return InMemory(served, factory.engine)

        yield start


@pytest.fixture
async def server(start_in_memory: StartInMemory) -> InMemory:
    """A server with the engine in memory and settings as they are by default."""
    return await start_in_memory()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whose certificates the servers and callers of one test file show."""
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> ServerFiles:
    """A server's files, with a good pair in them."""
    made = ServerFiles(tmp_path)
    made.write(issue(authority))
    return made


@pytest.fixture
def no_errors_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails the test if anything was logged at ERROR: by the server, gRPC or asyncio."""
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelname in {"ERROR", "CRITICAL"}]
    assert errors == []


@pytest.fixture
def good_request(bundle: Bundle) -> pb.ClassifyRequest:
    """A request that any state of the server but a full one answers."""
    return pb.ClassifyRequest(text=bundle.model.golden_vectors[0].text)


@pytest.fixture(scope="session")
def reference(bundle: Bundle) -> "Reference":
    """The bundle's checkpoint in transformers, imported where it is needed: it takes seconds."""
    from support.reference import Reference

    return Reference(bundle)


@pytest.fixture
def logits_of(bundle: Bundle) -> Callable[[dict[int, float]], Logits]:
    """Makes logits: so much probability for some rows, the rest shared by the others."""

    def make(shares: dict[int, float]) -> Logits:
        rest = (1.0 - sum(shares.values())) / (bundle.model.labels - len(shares))
        rows = [shares.get(row, rest) for row in range(bundle.model.labels)]
        return logits_for(rows, bundle.model.calibration.temperature)

    return make
