"""What a server says when it cannot answer: full, starting, draining, dead, or at fault."""

import asyncio
import json
import logging
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.app import serve
from intently_server.bundle import Bundle
from intently_server.drain import StopSignal
from intently_server.engine.base import Engine
from intently_server.settings import Settings
from support.in_memory import InMemory, StartInMemory
from support.memory_engine import MemoryEngineFactory
from support.serving import Served, free_address, serving
from support.stream_caller import StreamCaller
from support.wire import metadata_of, reason_of, retry_ms, rich_status

HELLO = pb.ClassifyRequest(text="hello")
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")


async def every_shape_fails(served: Served) -> list[grpc.aio.AioRpcError]:
    """The error of a unary call, a batch and a stream."""
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await served.intents.Classify(HELLO)
    with pytest.raises(grpc.aio.AioRpcError) as batch:
        await served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO]))
    with pytest.raises(grpc.aio.AioRpcError) as stream:
        await StreamCaller(served.intents).call.read()  # refused before anything is sent
    return [unary.value, batch.value, stream.value]


async def test_a_full_server_refuses_and_says_when_to_come_back(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_in_flight=2)
    server.engine.hold()
    admitted = [asyncio.ensure_future(server.served.intents.Classify(HELLO)) for _ in range(2)]
    await server.engine.wait_running(2)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(HELLO)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(rich_status(caught.value)) == "OVERLOADED"
    hint = retry_ms(rich_status(caught.value))
    assert hint > 0
    assert int(metadata_of(caught.value)["grpc-retry-pushback-ms"]) == pytest.approx(hint, abs=1)
    server.engine.release()
    assert all(answer.predictions for answer in await asyncio.gather(*admitted))
    assert (await server.served.intents.Classify(HELLO)).predictions


async def test_a_full_server_refuses_items_of_batches_and_streams_one_by_one(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_in_flight=3)
    server.engine.hold()
    alone = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    await server.engine.wait_running(1)
    batch = asyncio.ensure_future(server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO] * 3)))
    await server.engine.wait_running(3)
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("refused")

    refused = await stream.receive()
    server.engine.release()
    await asyncio.gather(alone, batch)
    await stream.item("answered")
    [answered] = await stream.finish()

    results = (await batch).results
    assert [result.WhichOneof("result") for result in results] == ["response", "response", "error"]
    for status in (results[2].error, refused.error.status):
        assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert retry_ms(status) > 0
    assert answered.response.request_id == "answered"


async def test_a_batch_fails_as_a_call_only_if_all_of_it_met_a_fault_of_the_server(server: InMemory) -> None:
    server.engine.fault = RuntimeError("ill")
    wrong = pb.ClassifyRequest()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO] * 3))
    mixed = await server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO, wrong]))
    server.engine.fault = None
    wrong_alone = await server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[wrong]))

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert reason_of(rich_status(caught.value)) == "INTERNAL"
    assert [reason_of(result.error) for result in mixed.results] == ["INTERNAL", "INVALID_INPUT"]
    assert [reason_of(result.error) for result in wrong_alone.results] == ["INVALID_INPUT"]


async def test_grpc_s_own_retry_policy_follows_the_hint(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_in_flight=1)
    server.engine.hold()
    first = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    await server.engine.wait_running(1)
    policy = {
        "maxAttempts": 5,
        "initialBackoff": "60s",  # never over within this test: only the push-back can make it try again
        "maxBackoff": "60s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
    }
    config = {"methodConfig": [{"name": [{"service": "intently.v1.IntentService"}], "retryPolicy": policy}]}
    options = [("grpc.service_config", json.dumps(config))]

    async with grpc.aio.insecure_channel(server.served.address, options=options) as channel:
        retried = asyncio.ensure_future(IntentServiceStub(channel).Classify(HELLO, timeout=30))
        await asyncio.sleep(0.005)
        server.engine.release()
        answer = await retried

    assert answer.predictions
    await first


async def test_a_starting_server_says_so_and_then_serves(bundle_path: Path) -> None:
    factory = MemoryEngineFactory()
    factory.may_start.clear()
    async with serving(bundle_path, factory, address=free_address()) as served:
        await served.channel.channel_ready()

        errors = await every_shape_fails(served)
        ready = await served.health.Check(READINESS)
        live = await served.health.Check(health_pb2.HealthCheckRequest(service=""))
        watch = served.health.Watch(READINESS)
        first = await watch.read()
        factory.may_start.set()
        second = await watch.read()

        for error in errors:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert reason_of(rich_status(error)) == "STARTING"
        status = health_pb2.HealthCheckResponse
        assert (ready.status, live.status) == (status.NOT_SERVING, status.SERVING)
        assert (first.status, second.status) == (status.NOT_SERVING, status.SERVING)
        assert (await served.intents.Classify(HELLO)).predictions
        watch.cancel()


async def test_a_server_stopped_while_it_starts_ends_with_0(bundle_path: Path) -> None:
    factory = MemoryEngineFactory()
    factory.may_start.clear()
    async with serving(bundle_path, factory, address=free_address()) as served:
        await served.channel.channel_ready()
        served.stop.set()
        factory.may_start.set()

        assert await served.exit_code == 0
        assert factory.engine.shut_down


async def test_a_draining_server_finishes_what_it_has_and_takes_nothing_new(server: InMemory) -> None:
    server.engine.hold()
    in_flight = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    await server.engine.wait_running(1)
    watch = server.served.health.Watch(READINESS)
    before = await watch.read()

    server.served.stop.set()
    after = await watch.read()
    errors = await every_shape_fails(server.served)
    server.engine.release()

    status = health_pb2.HealthCheckResponse
    assert (before.status, after.status) == (status.SERVING, status.NOT_SERVING)
    for error in errors:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(rich_status(error)) == "DRAINING"
    assert (await in_flight).predictions
    assert await server.served.exit_code == 0
    assert server.engine.shut_down


async def test_a_server_that_is_stopped_before_it_starts_starts_no_engine(bundle_path: Path) -> None:
    async def engine(_settings: Settings, _bundle: Bundle) -> Engine:
        pytest.fail("the engine was started")

    stop = StopSignal()
    stop.set()
    assert await serve(Settings(bundle=bundle_path, address="127.0.0.1:0"), engine, stop=stop) == 0


async def test_a_server_that_is_stopped_while_its_engine_starts_does_not_wait_for_it(bundle_path: Path) -> None:
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def engine(_settings: Settings, _bundle: Bundle) -> Engine:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        raise AssertionError

    stop = StopSignal()
    serving_ = asyncio.ensure_future(serve(Settings(bundle=bundle_path, address="127.0.0.1:0"), engine, stop=stop))
    await begun.wait()
    stop.set()

    assert await serving_ == 0
    assert given_up.is_set()


async def test_calls_that_outlive_the_drain_are_cut_off(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_timeout=0.1)
    server.engine.hold()
    in_flight = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    await server.engine.wait_running(1)

    server.served.stop.set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await in_flight

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await server.served.exit_code == 0
    assert server.engine.load().running == 0


async def test_the_engine_s_death_ends_the_server_without_a_drain(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_delay=600.0, drain_timeout=600.0)  # longer than any test may take
    server.engine.hold()
    unary = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    batch = asyncio.ensure_future(server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO])))
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("1")
    await server.engine.wait_running(3)
    watches = [
        server.served.health.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", READINESS.service)
    ]
    assert [(await watch.read()).status for watch in watches] == [health_pb2.HealthCheckResponse.SERVING] * 2

    server.engine.die()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary
    item = await stream.receive()
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    assert [(await watch.read()).status for watch in watches] == [not_serving] * 2
    assert await server.served.exit_code == 1
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as caught_batch:
        await batch
    assert caught_batch.value.code() is grpc.StatusCode.UNAVAILABLE
    for status in (rich_status(caught.value), rich_status(caught_batch.value), item.error.status):
        assert reason_of(status) == "ENGINE_DEAD"


async def test_the_death_of_an_idle_server_s_engine_reaches_who_watches(server: InMemory) -> None:
    watch = server.served.health.Watch(READINESS)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING

    server.engine.die()

    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await server.served.exit_code == 1


async def test_shutdown_of_an_idle_server_reaches_who_watches(server: InMemory) -> None:
    watch = server.served.health.Watch(READINESS)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING

    server.served.stop.set()

    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await server.served.exit_code == 0


async def test_a_fault_of_ours_tells_the_caller_nothing_and_the_log_where_it_was(
    server: InMemory, caplog: pytest.LogCaptureFixture
) -> None:
    server.engine.fault = RuntimeError("the detail: /a/path and what somebody said")
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("1")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(HELLO)
    with pytest.raises(grpc.aio.AioRpcError) as caught_batch:
        await server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO]))
    item = await stream.receive()
    server.engine.fault = None
    await stream.item("2")
    [after] = await stream.finish()

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "somebody" not in str(caught.value.trailing_metadata())
    for status in (rich_status(caught.value), rich_status(caught_batch.value), item.error.status):
        assert reason_of(status) == "INTERNAL"
        assert status.message == "internal error; the server's log has the details"
        assert "somebody" not in str(status)
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 3
    assert all("builtins.RuntimeError" in record.getMessage() for record in logged)
    assert all("memory_engine.py" in record.getMessage() for record in logged)  # the frame that raised it
    assert "somebody" not in caplog.text
    assert after.response.request_id == "2"
    assert (await server.served.intents.Classify(HELLO)).predictions
