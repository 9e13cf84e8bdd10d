"""A server on a unix socket: it is called and shown by the address as given, and takes no other server's socket."""

import asyncio
import contextlib
import hashlib
import json
import logging
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from intently import IntentClient, Security
from intently.v1 import intent_service_pb2 as pb
from intently_server.app import serve
from intently_server.health import INTENT_SERVICE
from intently_server.listening import AddressError
from intently_server.settings import Settings
from support.memory_engine import MemoryEngineFactory
from support.serving import free_address, serving

INTENTLY = Path(sys.executable).parent / "intently"


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a socket may lie: in a folder with a short name, as the kernel wants it."""
    with tempfile.TemporaryDirectory(prefix="intently-") as folder:
        yield Path(folder) / "server.sock"


@contextlib.asynccontextmanager
async def serving_on(address: str, bundle: Path, folder: Path, **settings: Any) -> AsyncIterator[dict[str, Any]]:
    """Serves there until the block ends; yields what the ready file says."""
    ready = folder / "ready.json"
    async with serving(bundle, MemoryEngineFactory(), address=address, ready_file=ready, **settings):
        while not ready.exists():  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.01)
        yield json.loads(ready.read_text())


async def is_answered(address: str, security: Security | None = None) -> bool:
    """Whether the client gets an answer there, to a call and on a stream."""
    async with IntentClient(address, security=security) as client, client.stream() as stream:
        answers = await asyncio.gather(client.classify("hello"), stream.classify("hello"))
        return all(answer.predictions for answer in answers)


async def is_served(health: Any) -> bool:
    """Whether the server says so."""
    answer = await health.Check(health_pb2.HealthCheckRequest(service=INTENT_SERVICE), wait_for_ready=True)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("form", ["unix:{path}", "unix://{path}", "unix-abstract:{path}"])
async def test_the_address_is_shown_and_called_as_it_was_given(
    bundle_path: Path, path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    address, exporting = form.format(path=path), {"otlp_endpoint": f"http://{free_address()}"}
    async with serving_on(address, bundle_path, path.parent, **exporting) as told:
        assert told["address"] == address
        assert any(record.getMessage().endswith(f" on {address}") for record in caplog.records)
        assert not [record for record in caplog.records if "open to the network" in record.getMessage()]
        assert await is_answered(address)
        command = await asyncio.create_subprocess_exec(INTENTLY, "classify", "hello", "--address", address)
        assert await command.wait() == 0


async def test_tokens_need_no_tls_there(bundle_path: Path, path: Path) -> None:
    address, tokens = f"unix:{path}", path.with_name("tokens")
    tokens.write_text(f"ann {hashlib.sha256(b'a token').hexdigest()}\n")

    async with serving_on(address, bundle_path, path.parent, token_file=tokens):
        assert await is_answered(address, Security(tls=False, token="a token"))  # noqa: S106  # no secret


async def test_a_socket_that_is_listened_on_is_not_taken_over(bundle_path: Path, path: Path) -> None:
    address = f"unix:{path}"
    async with serving_on(address, bundle_path, path.parent):
        with pytest.raises(AddressError, match=f"cannot listen on {address}"):
            await serve(Settings(bundle=bundle_path, address=address), MemoryEngineFactory())

        assert await is_answered(address)


async def test_a_socket_that_a_dead_server_left_is_taken(bundle_path: Path, path: Path) -> None:
    address = f"unix:{path}"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async with serving_on(address, bundle_path, path.parent):
        assert await is_answered(address)


async def test_no_call_is_lost_when_somebody_removes_the_path(
    bundle_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address, factory = f"unix:{path}", MemoryEngineFactory()
    async with serving(bundle_path, factory, address=address) as served:
        before = pb.ClassifyRequest(text="before")
        while not await is_served(served.health):  # noqa: ASYNC110  # it is asked
            await asyncio.sleep(0.01)
        factory.engine.hold()
        asked = [asyncio.ensure_future(served.intents.Classify(before)) for _ in range(4)]
        await factory.engine.wait_running(4)

        path.unlink()  # noqa: ASYNC240

        while not path.exists():  # noqa: ASYNC110, ASYNC240  # a path tells nobody
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # some looks, at which a server that lives could be ended
        factory.engine.release()
        assert all(answer.predictions for answer in await asyncio.gather(*asked))
        assert (await served.intents.Classify(before)).predictions
        assert await is_answered(address)
    said = [record.getMessage() for record in caplog.records if "listening" in record.name]
    assert said == [f"somebody has removed the path of the socket {address}"]
