"""Who may call: bearer tokens, identities of certificates, both, and services that are closed."""

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1 import model_service_pb2
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently.v1.model_service_pb2_grpc import ModelServiceStub
from intently_server.observer import CallObserver
from intently_server.security.bearer import BearerTokens
from intently_server.security.tokens import reloading_tokens
from support.certificates import KeyPair, ServerFiles, issue, issue_spiffe, replace, secure_channel
from support.in_memory import StartInMemory
from support.serving import Served
from support.token_file import TokenFile
from support.wire import metadata_of, reason_of, rich_status

HELLO = pb.ClassifyRequest(text="hello")
ALLOWED = "spiffe://example.org/caller"
Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
def token_file(tmp_path: Path) -> TokenFile:
    made = TokenFile(tmp_path / "tokens")
    made.write("ann", "bob")
    return made


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whose certificates servers and callers of this file show."""
    return trustme.CA()


@pytest.fixture
def mtls(authority: trustme.CA, tmp_path: Path) -> dict[str, object]:
    """Settings for mTLS with one SPIFFE ID and one DNS name on the list."""
    files = ServerFiles(tmp_path)
    files.write(issue(authority))
    replace(tmp_path / "ca.crt", authority.cert_pem.bytes())
    identities = [ALLOWED, "dns:Good.example.org"]
    return {**files.settings, "tls_client_ca": tmp_path / "ca.crt", "allow_identity": identities}


async def _classify(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    return bool((await IntentServiceStub(channel).Classify(HELLO, metadata=metadata, timeout=20)).predictions)


async def _stream(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    call = IntentServiceStub(channel).ClassifyStream(metadata=metadata, timeout=20)
    return await _opened(call)


async def _opened(call: Any) -> bool:
    with contextlib.suppress(asyncio.InvalidStateError):  # the call has ended: reading says how
        await call.write(pb.ClassifyStreamRequest(config=pb.StreamConfig()))
    answer: pb.ClassifyStreamResponse = await call.read()
    return bool(answer.HasField("ready"))


async def _models(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    request = model_service_pb2.ListModelsRequest()
    return bool((await ModelServiceStub(channel).ListModels(request, metadata=metadata, timeout=20)).models)


async def _reflect(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    return bool(await reflected(channel, metadata))


CALLS: dict[str, Callable[[grpc.aio.Channel, Metadata], Awaitable[bool]]] = {
    "Classify": _classify,
    "ClassifyStream": _stream,
    "ListModels": _models,
    "reflection": _reflect,
}
every_call = pytest.mark.parametrize("name", CALLS)


async def reflected(channel: grpc.aio.Channel, metadata: Metadata = ()) -> set[str]:
    """Names of the services that reflection lists."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    async for answer in stub.ServerReflectionInfo(iter([request]), metadata=metadata, timeout=20):
        return {service.name for service in answer.list_services_response.service}
    raise AssertionError("reflection said nothing")


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error of a call, which must be one."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def live(channel: grpc.aio.Channel) -> bool:
    """Whether health answers without credentials, by Check and by Watch."""
    health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest(service="")
    checked = await health.Check(request, timeout=20)
    watched = health.Watch(request, timeout=20)
    serving = health_pb2.HealthCheckResponse.SERVING
    return bool(checked.status == serving and (await watched.read()).status == serving)


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

    error = await refused(_classify(server.served.channel, token_file.metadata("ann") + token_file.metadata("bob")))

    assert reason_of(rich_status(error)) == "INVALID_TOKEN"


async def test_the_scheme_s_case_is_nobody_s_business(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path)

    assert await _classify(server.served.channel, (("authorization", f"bEARER {token_file.tokens['ann']}"),))


async def test_health_needs_no_token(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path)

    assert await live(server.served.channel)


async def test_no_token_is_ever_told(
    start_in_memory: StartInMemory, token_file: TokenFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = await start_in_memory(token_file=token_file.path)
    presented = secrets.token_hex(32)

    error = await refused(_classify(server.served.channel, (("authorization", f"Bearer {presented}"),)))
    await _classify(server.served.channel, token_file.metadata("ann"))

    told = f"{caplog.text} {error.details()} {error.trailing_metadata()}"
    for token in (presented, *token_file.tokens.values()):
        assert token not in told
        assert hashlib.sha256(token.encode()).hexdigest() not in told


async def test_tokens_change_while_the_server_runs(start_in_memory: StartInMemory, token_file: TokenFile) -> None:
    server = await start_in_memory(token_file=token_file.path, tls_reload_interval=0.02)
    channel, old = server.served.channel, token_file.metadata("ann")
    opened: Any = IntentServiceStub(channel).ClassifyStream(metadata=old, timeout=20)
    assert await _opened(opened)

    token_file.write("ann")
    while not await _is_answered(channel, token_file.metadata("ann")):  # noqa: ASYNC110  # a server tells nobody
        await asyncio.sleep(0.01)

    assert reason_of(rich_status(await refused(_classify(channel, old)))) == "INVALID_TOKEN"
    item = pb.ClassifyItem(request=pb.ClassifyRequest(request_id="1", text="hello"))
    await opened.write(pb.ClassifyStreamRequest(item=item))
    assert (await opened.read()).response.request_id == "1"  # checked as it opened, and not again
    await opened.done_writing()


async def _is_answered(channel: grpc.aio.Channel, metadata: Metadata) -> bool:
    try:
        return await _classify(channel, metadata)
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


GOOD: dict[str, Callable[[trustme.CA], KeyPair]] = {
    "the SPIFFE ID": lambda authority: issue_spiffe(authority, ALLOWED),
    "the DNS name": lambda authority: issue(authority, "good.example.org"),
    "one of its DNS names": lambda authority: issue(authority, "other.example.org", "good.example.org"),
    "a SPIFFE ID and a DNS name": lambda authority: issue_spiffe(authority, ALLOWED, names=("x.example.org",)),
}
BAD: dict[str, Callable[[trustme.CA], KeyPair]] = {
    "another SPIFFE ID": lambda authority: issue_spiffe(authority, f"{ALLOWED}/more"),
    "another trust domain": lambda authority: issue_spiffe(authority, "spiffe://example.com/caller"),
    "two SPIFFE IDs": lambda authority: issue_spiffe(authority, ALLOWED, "spiffe://example.org/other"),
    "another scheme": lambda authority: issue_spiffe(authority, "https://example.org/caller"),
    "a longer DNS name": lambda authority: issue(authority, "very.good.example.org"),
    "a wildcard": lambda authority: issue(authority, "*.example.org"),
    "a SPIFFE ID as DNS name": lambda authority: issue_spiffe(authority, names=("spiffe.example.org",)),
}


@pytest.mark.parametrize("who", GOOD)
async def test_an_identity_on_the_list_is_answered(
    start_in_memory: StartInMemory, mtls: dict[str, object], authority: trustme.CA, who: str
) -> None:
    server = await start_in_memory(**mtls)

    async with secure_channel(server.served.address, authority, GOOD[who](authority)) as channel:
        for call in CALLS.values():
            assert await call(channel, ())


@pytest.mark.parametrize("who", BAD)
async def test_an_identity_that_is_not_on_the_list_is_refused(
    start_in_memory: StartInMemory,
    mtls: dict[str, object],
    authority: trustme.CA,
    who: str,
    no_errors_logged: None,
) -> None:
    server = await start_in_memory(**mtls)

    async with secure_channel(server.served.address, authority, BAD[who](authority)) as channel:
        errors = [await refused(call(channel, ())) for call in CALLS.values()]
        assert await live(channel)

    assert len(errors) == len(CALLS)
    for error in errors:
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason_of(rich_status(error)) == "IDENTITY_NOT_ALLOWED"
        assert "example" not in (error.details() or "")


@every_call
async def test_where_both_are_wanted_both_must_pass(
    start_in_memory: StartInMemory, mtls: dict[str, object], token_file: TokenFile, authority: trustme.CA, name: str
) -> None:
    server = await start_in_memory(**mtls, token_file=token_file.path)
    address, call, token = server.served.address, CALLS[name], token_file.metadata("ann")

    async with secure_channel(address, authority, issue_spiffe(authority, ALLOWED)) as channel:
        assert await call(channel, token)
        assert reason_of(rich_status(await refused(call(channel, ())))) == "MISSING_TOKEN"
    async with secure_channel(address, authority, issue(authority, "stranger.example.org")) as channel:
        assert reason_of(rich_status(await refused(call(channel, token)))) == "IDENTITY_NOT_ALLOWED"


async def test_a_closed_model_service_is_not_there(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(model_service=False)
    channel = server.served.channel

    assert (await refused(_models(channel, ()))).code() is grpc.StatusCode.UNIMPLEMENTED
    assert await _classify(channel, ())
    assert await reflected(channel) == {
        "intently.v1.IntentService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert await readiness(server.served, "intently.v1.IntentService") == health_pb2.HealthCheckResponse.SERVING
    assert (await refused(readiness(server.served, "intently.v1.ModelService"))).code() is grpc.StatusCode.NOT_FOUND


async def readiness(served: Served, service: str) -> int:
    return int((await served.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)).status)


async def test_closed_reflection_is_not_there(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(reflection=False)

    assert (await refused(reflected(server.served.channel))).code() is grpc.StatusCode.UNIMPLEMENTED
    assert await _classify(server.served.channel, ())


async def test_what_does_not_exist_is_unimplemented_with_and_unauthenticated_without_a_token(
    start_in_memory: StartInMemory, token_file: TokenFile
) -> None:
    """Strangers are not told what exists."""
    server = await start_in_memory(token_file=token_file.path, model_service=False)
    channel = server.served.channel

    assert (await refused(_models(channel, ()))).code() is grpc.StatusCode.UNAUTHENTICATED
    assert (await refused(_models(channel, token_file.metadata("ann")))).code() is grpc.StatusCode.UNIMPLEMENTED
