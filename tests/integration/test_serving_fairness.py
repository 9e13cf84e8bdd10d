"""Whose turn it is: a name has one share, whatever it comes by, and a connection has one where there is no name."""

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from support.admin_caller import admin_address, wait_sum
from support.certificates import ServerFiles, issue_spiffe, secure_channel
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.token_file import TokenFile

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

MODEST = pb.ClassifyRequest(text="modest")
GREEDY_ID, MODEST_ID = "spiffe://example.org/greedy", "spiffe://example.org/modest"


class Shared:
    """A server whose engine takes one request at a time, and holds it until told otherwise.

    Args:
        server: It.
        admin: Its admin port.
        modest: The prompt of MODEST.
    """

    def __init__(self, server: InMemory, admin: str, modest: tuple[int, ...]) -> None:
        self.server = server
        self._admin = admin
        self._modest = modest
        server.engine.hold()

    async def wait_queued(self, least: int) -> None:
        """Returns once so many requests wait for their turn."""
        await wait_sum(self._admin, least, "intently_server_queued_requests")

    async def modest_among(self, first: int, *asked: Awaitable[object]) -> int:
        """How many of the first prompts that the engine takes are MODEST's, once all that was asked is answered."""
        self.server.engine.release()
        await asyncio.gather(*asked)
        return self.server.engine.prompts[:first].count(self._modest)


async def start(start_in_memory: StartInMemory, folder: Path, bundle: Bundle, **settings: Any) -> Shared:
    """Starts such a server."""
    ready = folder / "ready.json"
    server = await start_in_memory(max_running=1, ready_file=ready, max_wait=600.0, **settings)
    return Shared(server, admin_address(ready), tuple(bundle.encoder.encode(MODEST.text).token_ids))


async def two_tokens_on(channel: grpc.aio.Channel, shared: Shared, tokens: TokenFile) -> int:
    """How many of the first seven prompts are of the modest one's three calls: the greedy one streamed forty before."""
    intents: IntentServiceAsyncStub = IntentServiceStub(channel)
    stream = StreamCaller(intents, metadata=tokens.metadata("greedy"))
    await stream.open()
    for number in range(40):
        await stream.item(str(number))
    await shared.wait_queued(39)
    calls = [asyncio.ensure_future(intents.Classify(MODEST, metadata=tokens.metadata("modest"))) for _ in range(3)]
    await shared.wait_queued(42)
    return await shared.modest_among(7, stream.finish(), *calls)


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    made = TokenFile(tmp_path / "tokens")
    made.write("greedy", "modest")
    return made


async def test_a_name_s_flood_does_not_hold_up_another_on_the_same_connection(
    start_in_memory: StartInMemory, tmp_path: Path, bundle: Bundle, tokens: TokenFile
) -> None:
    shared = await start(start_in_memory, tmp_path, bundle, token_file=tokens.path)

    assert await two_tokens_on(shared.server.served.channel, shared, tokens) == 3


async def test_a_proxy_s_certificate_does_not_make_one_of_those_who_call_through_it(
    start_in_memory: StartInMemory,
    tmp_path: Path,
    bundle: Bundle,
    tokens: TokenFile,
    authority: trustme.CA,
    files: ServerFiles,
) -> None:
    settings = files.mtls(authority, "spiffe://example.org/proxy")
    shared = await start(start_in_memory, tmp_path, bundle, token_file=tokens.path, **settings)

    certificate = issue_spiffe(authority, "spiffe://example.org/proxy")
    async with secure_channel(shared.server.served.address, authority, certificate) as channel:
        assert await two_tokens_on(channel, shared, tokens) == 3


async def test_an_identity_gains_nothing_by_having_many_connections(
    start_in_memory: StartInMemory, tmp_path: Path, bundle: Bundle, authority: trustme.CA, files: ServerFiles
) -> None:
    shared = await start(start_in_memory, tmp_path, bundle, **files.mtls(authority, GREEDY_ID, MODEST_ID))
    address, asked = shared.server.served.address, []
    async with contextlib.AsyncExitStack() as channels:
        for identity, connections, text in ((GREEDY_ID, 4, "greedy"), (MODEST_ID, 1, MODEST.text)):
            certificate = issue_spiffe(authority, identity)
            for _ in range(connections):
                channel = await channels.enter_async_context(secure_channel(address, authority, certificate))
                call = IntentServiceStub(channel).Classify
                asked += [asyncio.ensure_future(call(pb.ClassifyRequest(text=text))) for _ in range(10)]
            await shared.wait_queued(len(asked) - 1)

        assert await shared.modest_among(21, *asked) == 10
