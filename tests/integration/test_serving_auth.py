"""Who may call by a bearer token: what is asked for it, what is told of it, and that tokens change."""

import asyncio
import hashlib
import logging
import secrets
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.observer import CallObserver
from intently_server.security.bearer import BearerTokens
from intently_server.security.tokens import reloading_tokens
from support.admin_caller import admin_address, get
from support.guarded_calls import CALLS, Metadata, classify, is_opened, live, models, refused
from support.in_memory import StartInMemory
from support.token_file import TokenFile
from support.wire import metadata_of, reason_of, rich_status

every_call = pytest.mark.parametrize("name", CALLS)


@pytest.fixture
def token_file(tmp_path: Path) -> TokenFile:
    made = TokenFile(tmp_path / "tokens")
    made.write("ann", "bob")
    return made


@every_call
async def test_without_a_token_nothing_is_answered(
    start_in_memory: StartInMemory, token_file: TokenFile, name: str
) -> None:
    server = await start_in_memory(token_file=token_file.path)

    error = await refused(CALLS[name](server.served.channel, ()))

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert reason_of(rich_status(error)) == "MISSING_TOKEN"
    assert metadata_of(error)["www-authenticate"] == "Bearer"


@every_call
async def test_with_a_token_all_is_answered(start_in_memory: StartInMemory, token_file: TokenFile, name: str) -> None:
    server = await start_in_memory(token_file=token_file.path)

    assert await CALLS[name](server.served.channel, token_file.metadata("ann"))
    assert await CALLS[name](server.served.channel, token_file.metadata("bob"))


@every_call
async def test_with_a_wrong_token_nothing_is_answered(
    start_in_memory: StartInMemory,
    token_file: TokenFile,
    name: str,
    no_errors_logged: None,
) -> None:
    server = await start_in_memory(token_file=token_file.path)

    for value in ("Bearer wrong", "Bearer ", "Bearer", "Basic YTpi", "wrong", ""):
        error = await refused(CALLS[name](server.served.channel, (("authorization", value),)))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED, value
        assert reason_of(rich_status(error)) == "INVALID_TOKEN", value
        assert metadata_of(error)["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_two_tokens_at_once_are_refused(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path)

    error = await refused(classify(server.served.channel, token_file.metadata("ann") + token_file.metadata("bob")))

    assert reason_of(rich_status(error)) == "INVALID_TOKEN"


async def test_the_scheme_s_case_is_nobody_s_business(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path)

    assert await classify(server.served.channel, (("authorization", f"bEARER {token_file.tokens['ann']}"),))


async def test_health_needs_no_token(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path)

    assert await live(server.served.channel)


async def test_no_token_is_ever_told(
    start_in_memory: StartInMemory, token_file: TokenFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = await start_in_memory(token_file=token_file.path)
    presented = secrets.token_hex(32)

    error = await refused(classify(server.served.channel, (("authorization", f"Bearer {presented}"),)))
    await classify(server.served.channel, token_file.metadata("ann"))

    told = f"{caplog.text} {error.details()} {error.trailing_metadata()}"
    for token in (presented, *token_file.tokens.values()):
        assert token not in told
        assert hashlib.sha256(token.encode()).hexdigest() not in told


async def test_tokens_change_while_the_server_runs(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path, tls_reload_interval=0.02)
    channel, old = server.served.channel, token_file.metadata("ann")
    opened: Any = IntentServiceStub(channel).ClassifyStream(metadata=old, timeout=20)
    assert await is_opened(opened)

    token_file.write("ann")
    while not await _is_answered(channel, token_file.metadata("ann")):  # noqa: ASYNC110  # a server tells nobody
        await asyncio.sleep(0.01)

    assert reason_of(rich_status(await refused(classify(channel, old)))) == "INVALID_TOKEN"
    item = pb.ClassifyItem(request=pb.ClassifyRequest(request_id="1", text="hello"))
    await opened.write(pb.ClassifyStreamRequest(item=item))
    assert (await opened.read()).response.request_id == "1"  # checked as it opened, and not again
    await opened.done_writing()


async def _is_answered(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    try:
        return await classify(channel, metadata)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            return False
        raise


class Refusals:
    """An observer that keeps which methods were refused, and how."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.statuses: list[str] = []

    def call(self, method: str, metadata: object, connection: str, arrived: float) -> CallObserver:  # noqa: ARG002
        raise AssertionError("no call began")

    def refused(self, method: str, status: str, error: BaseException) -> None:  # noqa: ARG002
        self.methods.append(method)
        self.statuses.append(status)


async def test_who_watches_hears_of_refused_calls_by_methods_that_exist(token_file: TokenFile) -> None:
    observer = Refusals()
    server = grpc.aio.server(interceptors=[BearerTokens(reloading_tokens(token_file.path), observer)])
    health_pb2_grpc.add_HealthServicer_to_server(health_aio.HealthServicer(), server)
    echo: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Service", {"Echo": echo}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ("/a.Service/Echo", "/a.Service/Another", "/what/ever"):
            call: Any = channel.unary_unary(method)
            await refused(call(b"", timeout=20))
        call = channel.unary_unary("/a.Service/Echo")
        answer = await call(b"x", metadata=token_file.metadata("ann"), timeout=20)
        assert await live(channel)
    await server.stop(None)

    assert answer == b"x"
    assert observer.methods == ["a.Service/Echo", "_OTHER", "_OTHER"]
    assert observer.statuses == ["UNAUTHENTICATED"] * 3


async def _echo(request: bytes, _context: object) -> bytes:
    return request


async def test_a_refused_message_is_not_even_read(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    """A message that is too large, and would be RESOURCE_EXHAUSTED as soon as it is read."""
    server = await start_in_memory(token_file=token_file.path, max_message_bytes=1000)
    huge = pb.ClassifyRequest(text="a" * 100_000)

    error = await refused(IntentServiceStub(server.served.channel).Classify(huge, timeout=20))

    assert reason_of(rich_status(error)) == "MISSING_TOKEN"


async def test_what_does_not_exist_is_unimplemented_with_and_unauthenticated_without_a_token(
    start_in_memory: StartInMemory, token_file: TokenFile
) -> None:
    """Strangers are not told what exists."""
    server = await start_in_memory(token_file=token_file.path, model_service=False)
    channel = server.served.channel

    assert (await refused(models(channel, ()))).code() is grpc.StatusCode.UNAUTHENTICATED
    assert (await refused(models(channel, token_file.metadata("ann")))).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_methods_that_strangers_invent_are_not_counted_by_their_names(
    start_in_memory: StartInMemory, token_file: TokenFile, tmp_path: Path
) -> None:
    """Else they would fill the server's memory, a name at a time."""
    ready_file = tmp_path / "ready.json"
    server = await start_in_memory(token_file=token_file.path, ready_file=ready_file, admin_address="127.0.0.1:0")
    for method in ("/invented.Service/Method", "/intently.v1.IntentService/Invented"):
        call: Any = server.served.channel.unary_unary(method)
        assert (await refused(call(b"", timeout=20))).code() is grpc.StatusCode.UNAUTHENTICATED

    page = (await get(admin_address(ready_file), "/metrics")).text

    assert 'rpc_method="_OTHER"' in page
    assert "nvented" not in page
