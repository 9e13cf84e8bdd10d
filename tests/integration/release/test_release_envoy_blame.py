"""Calls that fail by their caller's doing are not taken for a failure of the server: nobody gets it ejected by them."""

import asyncio
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.envoy_in_front import envoy_in_front_of
from support.envoy_process import EnvoyProcess
from support.hostile.peer import connect, data, framed
from support.in_memory_server import FAST, in_memory_server
from support.load import generate

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

IN_A_ROW = 32  # more than any number of failures that ejects
CLASSIFY = "/intently.v1.IntentService/Classify"
REQUEST = b"\x0a\x05hello"
STREAM = "/intently.v1.IntentService/ClassifyStream"
HURRIED = (("grpc-timeout", "20m"),)
# Path, what is sent of the body, metadata, and whether the caller says that this is all.
CALLS: dict[str, tuple[str, bytes, tuple[tuple[str, str], ...], bool]] = {
    "a method that is closed": ("/intently.v1.ModelService/ListModels", framed(b""), (), True),
    "a stream that is closed": ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", framed(b""), (), True),
    "what is no protobuf": (CLASSIFY, framed(b"\xff" * 20), (), True),
    "no message": (CLASSIFY, b"", (), True),
    "a deadline of 1 ms": (CLASSIFY, framed(REQUEST), (("grpc-timeout", "1m"),), True),
    "a batch with 1 ms": ("/intently.v1.IntentService/BatchClassify", framed(b""), (("grpc-timeout", "1m"),), True),
    "a stream with 1 ms": (STREAM, framed(b""), (("grpc-timeout", "1m"),), True),
    "a stream that says nothing in time": (STREAM, b"", HURRIED, False),
    "a call that says nothing in time": (CLASSIFY, b"", HURRIED, False),
    "a watch that says nothing in time": ("/grpc.health.v1.Health/Watch", b"", HURRIED, False),
    "a message that does not come in time": (CLASSIFY, framed(REQUEST)[:4], HURRIED, False),
}
UNKNOWN_ENCODING = (("grpc-encoding", "zstd"),)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyProcess]:
    """In front of a server that has closed what can be closed."""
    folder: Path = tmp_path_factory.mktemp("server")
    with (
        in_memory_server(folder, "--no-model-service", "--no-reflection", pace=FAST) as server,
        envoy_in_front_of(server.address) as made,
    ):
        yield made


@pytest.mark.parametrize("kind", CALLS)
async def test_calls_in_a_row_that_no_server_could_answer_take_none_out(envoy: EnvoyProcess, kind: str) -> None:
    path, body, more, whole = CALLS[kind]
    before = reached(envoy)
    async with await connect(envoy.address) as peer:
        for _ in range(IN_A_ROW):
            headers = peer.headers(path, *more)
            await peer.send(headers, data(headers.stream_id, body, end=whole))
            await asyncio.sleep(0.01)  # so that answers come one by one
        await asyncio.sleep(0.1)
        assert await peer.heard()
        assert reached(envoy) == before + IN_A_ROW
        assert ejected(envoy) == 0

    assert generate(envoy.address, 0.5, "--concurrency", "1").by_status.keys() == {"OK"}


async def test_an_encoding_that_no_server_knows_does_not_come_to_one(envoy: EnvoyProcess) -> None:
    before, packed = reached(envoy), framed(zlib.compress(REQUEST), compressed=True)
    async with await connect(envoy.address) as peer:
        for _ in range(IN_A_ROW):
            headers = peer.headers(CLASSIFY, *UNKNOWN_ENCODING)
            await peer.send(headers, data(headers.stream_id, packed, end=True))
        assert await peer.heard()

    assert reached(envoy) == before
    assert ejected(envoy) == 0


def reached(envoy: EnvoyProcess) -> int:
    """Calls that went to the server."""
    return sum(envoy.stats("^cluster.blue.upstream_rq_total$").values())


def ejected(envoy: EnvoyProcess) -> int:
    """How often a server was."""
    return sum(envoy.stats("outlier_detection.ejections_enforced_total").values())
