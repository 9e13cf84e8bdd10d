"""gRPC's server ends by itself on a path that is no UTF-8: ours listens again, with the engine as it was."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from intently import Classification, IntentClient
from intently.stream import ClassifyStream
from intently_server.listening.port import Port
from support.in_memory import InMemory
from support.in_memory_server import InMemoryServer, in_memory_server
from support.unreadable_path import UNREADABLE, send_path

AGAIN = "listening again"


async def said_again(server: InMemoryServer, times: int) -> None:
    """Returns once its log says so often that it listens again."""
    while server.log.read_text().count(AGAIN) < times:  # noqa: ASYNC110  # a log tells nobody
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("form", ["127.0.0.1:0", "unix:{folder}/s", "unix-abstract:{folder}/s"])
async def test_one_call_stops_no_server(tmp_path: Path, form: str) -> None:
    with (
        tempfile.TemporaryDirectory() as short,
        in_memory_server(tmp_path, "--address", form.format(folder=short)) as server,
    ):
        for times in (1, 2):
            # It stays, which keeps gRPC from ending in full.
            with contextlib.closing(send_path(server.address, b"/" + UNREADABLE)):
                await said_again(server, times)

                async with IntentClient(server.address) as client, client.stream() as stream:
                    answers = await asyncio.gather(client.classify("hello"), stream.classify("hello"))

            assert all(answer.predictions for answer in answers)

        assert server.terminate() == 0


async def test_the_client_loses_nothing_by_it(server: InMemory, caplog: pytest.LogCaptureFixture) -> None:
    address = server.served.address
    async with IntentClient(address) as client, client.stream() as stream:
        await stream.classify("before")
        server.engine.hold()
        asked = [asyncio.ensure_future(each(f"text {number}")) for number in range(8) for each in _ways(client, stream)]
        await server.engine.wait_running(16)

        with contextlib.closing(send_path(address, b"/" + UNREADABLE)):
            while AGAIN not in caplog.text:  # noqa: ASYNC110  # a log tells nobody
                await asyncio.sleep(0.01)
            server.engine.release()
            answers = await asyncio.gather(*asked)

    assert all(answer.predictions for answer in answers)


def _ways(
    client: IntentClient, stream: ClassifyStream
) -> tuple[Callable[[str], Coroutine[Any, Any, Classification]], ...]:
    return client.classify, stream.classify


@pytest.fixture(params=["127.0.0.1", "0.0.0.0", "localhost", "[::]", "[::1]"])  # noqa: S104  # what a server may be told
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """An address that is listened on."""
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gRPC's
        try:
            server.bind((host.strip("[]"), 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        server.listen()
        yield f"{host}:{server.getsockname()[1]}", server


def test_a_port_is_left_once_nobody_listens(listener: tuple[str, socket.socket]) -> None:
    address, server = listener
    port = Port(address)
    assert not port.is_left()
    with socket.create_connection(server.getsockname()[:2]):
        connection, _ = server.accept()
        with connection:
            assert not port.is_left()
            server.close()
            assert port.is_left()  # though a connection is left
