"""What a caller sees beyond the limits of a whole server: streams, connections, calls that nobody has begun."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.hostile.peer import STREAM, connect
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.wire import metadata_of, reason_of, retry_ms, rich_status

pytestmark = pytest.mark.usefixtures("no_errors_logged")

HELLO = pb.ClassifyRequest(text="hello")


async def refused(server: InMemory) -> None:
    """One more stream of this caller is refused, with when to come back; calls are answered all the same."""
    stream = StreamCaller(server.served.intents)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.receive()
    status = rich_status(caught.value)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (reason_of(status), retry_ms(status)) == ("OVERLOADED", 1000)
    assert metadata_of(caught.value)["grpc-retry-pushback-ms"] == "1000"
    assert (await server.served.intents.Classify(HELLO)).predictions


async def opens(server: InMemory) -> None:
    """A stream can be opened, once the server knows of the end of another."""
    for _ in range(50):
        stream = StreamCaller(server.served.intents)
        try:
            await stream.open()
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.1)
        else:
            assert await stream.finish() == []
            return
    pytest.fail("no stream can be opened")


async def test_streams_are_bounded_over_all_connections(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_streams=3)
    here = StreamCaller(server.served.intents)
    await here.open()
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server.served.address, options=options) as channel:
        there = StreamCaller(IntentServiceStub(channel))
        await there.open()

        await refused(server)

        await here.item("1")
        assert (await here.receive()).response.request_id == "1"
        there.call.cancel()
        await opens(server)
    assert await here.finish() == []


async def test_nobody_keeps_others_from_opening_streams(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_streams=40)
    async with AsyncExitStack() as stack:
        for _ in range(8):
            hoarder = await stack.enter_async_context(await connect(server.served.address))
            await hoarder.send(*(hoarder.headers(STREAM) for _ in range(40)))
            assert await hoarder.heard()

            stream = StreamCaller(server.served.intents)
            await stream.open()
            await stream.item("1")
            assert [answer.response.request_id for answer in await stream.finish()] == ["1"]


async def test_watches_of_health_count_apart_and_reflection_does_not(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_streams=2)
    here = StreamCaller(server.served.intents)
    await here.open()
    await refused(server)
    watch = health_pb2_grpc.HealthStub(server.served.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert await here.finish() == []
    await opens(server)
    info = reflection_pb2_grpc.ServerReflectionStub(server.served.channel).ServerReflectionInfo()
    await info.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    assert (await info.read()).list_services_response.service

    await refused(server)

    await info.done_writing()
    await opens(server)
    watch.cancel()
    for _ in range(3):
        await opens(server)


async def test_a_connection_too_many_is_closed_as_it_comes(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_connections=3)
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with AsyncExitStack() as stack:
        codes = []
        for _ in range(6):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.served.address, options=options))
            codes.append(await IntentServiceStub(channel).Classify(HELLO, timeout=5).code())

    assert codes[-3:] == [grpc.StatusCode.UNAVAILABLE] * 3
    assert grpc.StatusCode.OK in codes[:3]


async def test_of_calls_that_nobody_has_begun_some_are_ended_with_cancelled(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_unseen_calls=1)
    options = [("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(server.served.address, options=options) as channel:
        intents = IntentServiceStub(channel)
        await intents.Classify(HELLO)
        calls = [intents.Classify(HELLO, timeout=20) for _ in range(300)]
        codes = Counter([await call.code() for call in calls])

    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}
