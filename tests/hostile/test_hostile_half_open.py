"""Connections whose other end has gone without a word, or never says one, do not stay for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from support.hostile.connections import REQUEST
from support.hostile.normal import NormalCaller, normal_caller
from support.hostile.peer import CLASSIFY, PREFACE, STREAM, Peer, connect
from support.in_memory_server import InMemoryServer, in_memory_server
from support.stream_caller import StreamCaller

pytestmark = pytest.mark.timeout(60)

SETTINGS = ("--handshake-timeout", "0.5", "--keepalive-interval", "1", "--max-connections", "40")


@pytest.fixture(scope="module")
def impatient(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMemoryServer]:
    """A server that gives connections little time."""
    with in_memory_server(tmp_path_factory.mktemp("impatient"), *SETTINGS, bundle=bundle_path) as running:
        yield running


async def nothing(peer: Peer) -> None:
    """Says nothing."""


async def half_a_preface(peer: Peer) -> None:
    """Says nothing after this."""
    await peer.send_bytes(PREFACE[:10])


async def the_preface(peer: Peer) -> None:
    """Says nothing after this."""
    await peer.send_bytes(PREFACE)


@pytest.mark.parametrize("say", [nothing, half_a_preface, the_preface])
async def test_a_connection_that_does_not_begin_is_closed(
    impatient: InMemoryServer, say: Callable[[Peer], Awaitable[None]]
) -> None:
    async with await connect(impatient.address, silent=True) as peer:
        await say(peer)

        assert await peer.ended()


@pytest.mark.parametrize("path", [None, CLASSIFY, STREAM])
async def test_a_caller_that_gives_no_sign_of_life_is_given_up(impatient: InMemoryServer, path: str | None) -> None:
    """As when its machine has lost power: gRPC's pings are not answered, but nothing ends the connection."""
    async with await connect(impatient.address) as peer:
        if path is not None:
            await peer.send(*peer.call(path, REQUEST, end=False))

        assert await peer.ended()


async def test_a_caller_that_is_alive_and_silent_is_kept(impatient: InMemoryServer) -> None:
    async with grpc.aio.insecure_channel(impatient.address) as channel:
        stream = StreamCaller(IntentServiceStub(channel))
        await stream.open()
        await asyncio.sleep(3)  # pings came and went meanwhile
        await stream.item("1")

        assert (await stream.receive()).response.request_id == "1"
        assert await stream.finish() == []


async def test_connections_are_bounded(impatient: InMemoryServer, bundle: Bundle) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(await connect(impatient.address)) for _ in range(60)]
        heard = await asyncio.gather(*(peer.heard() for peer in peers))

        assert heard.count(True) == 40
        async with grpc.aio.insecure_channel(impatient.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await IntentServiceStub(channel).Classify(pb.ClassifyRequest(text="hello"), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

    await _until_it_answers(normal_caller(bundle.model, impatient.address))
    assert impatient.errors_logged() == []


async def _until_it_answers(normal: NormalCaller) -> None:
    """A test's own timeout bounds the wait: connections that have ended are counted for a moment."""
    while True:
        try:
            await normal.calls(10)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.1)
        else:
            return
