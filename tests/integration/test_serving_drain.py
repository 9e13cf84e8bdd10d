"""The way down, state by state: leaving, draining, stopping; and hurrying."""

import asyncio
import logging

import grpc
import pytest
from grpc_health.v1 import health_pb2

from intently.v1 import intent_service_pb2 as pb
from intently.v1 import model_service_pb2
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.tcp_proxy import TcpProxy
from support.wire import reason_of, rich_status

LARGE = [("grpc.max_receive_message_length", -1)]
HELLO = pb.ClassifyRequest(text="hello")
READINESS = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def refusal(server: InMemory) -> str:
    """Why a new call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.intents.Classify(HELLO)
    return reason_of(rich_status(caught.value))


async def test_a_leaving_server_is_not_ready_and_answers_all(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_delay=60.0)
    watch = server.served.health.Watch(READINESS)
    assert (await watch.read()).status == SERVING
    stream = StreamCaller(server.served.intents)
    await stream.open()

    server.served.stop.set()
    assert (await watch.read()).status == NOT_SERVING
    unary = await server.served.intents.Classify(HELLO)
    later = StreamCaller(server.served.intents)
    await later.open()
    for each in (stream, later):
        await each.item("a")
        assert (await each.receive()).response.request_id == "a"
    liveness = await server.served.health.Check(health_pb2.HealthCheckRequest())

    assert unary.predictions
    assert liveness.status == SERVING
    assert not server.served.exit_code.done()
    server.served.stop.set()
    for each in (stream, later):
        assert [message.WhichOneof("message") for message in await each.rest()] == ["drain"]
    assert await server.served.exit_code == 0


async def test_a_draining_server_refuses_what_is_new_and_finishes_what_is_not(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_delay=0.1)
    server.engine.hold()
    unary = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    batch = asyncio.ensure_future(server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO])))
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("a")
    await server.engine.wait_running(3)

    server.served.stop.set()
    assert (await stream.receive()).drain.reason == pb.DRAIN_REASON_SHUTDOWN
    assert await refusal(server) == "DRAINING"
    server.engine.release()

    assert (await unary).predictions
    assert (await batch).results[0].response.predictions
    assert [answer.response.request_id for answer in await stream.rest()] == ["a"]
    assert await server.served.exit_code == 0


async def test_told_twice_a_server_hurries(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_delay=3600.0, drain_timeout=3600.0)
    server.engine.hold()
    in_flight = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    await server.engine.wait_running(1)

    server.served.stop.set()
    server.served.stop.set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await in_flight

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await server.served.exit_code == 0


async def test_told_twice_a_server_answers_the_items_of_streams_all_the_same(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_delay=3600.0, drain_timeout=3600.0)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("a")
    await server.engine.wait_running(1)

    server.served.stop.set()
    server.served.stop.set()
    notice, answer = await stream.rest()

    assert notice.drain.grace.ToMilliseconds() == 1000
    assert (answer.error.request_id, reason_of(answer.error.status)) == ("a", "DRAINING")
    assert await server.served.exit_code == 0


async def test_hurried_while_it_drains_it_answers_them_too(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_timeout=3600.0)
    server.engine.hold()
    stream = StreamCaller(server.served.intents)
    await stream.open()
    await stream.item("a")
    await server.engine.wait_running(1)

    server.served.stop.set()
    assert (await stream.receive()).HasField("drain")
    server.served.stop.set()

    assert [reason_of(answer.error.status) for answer in await stream.rest()] == ["DRAINING"]
    assert await server.served.exit_code == 0


async def test_an_engine_that_dies_while_the_server_leaves_ends_it(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(drain_delay=3600.0)
    watch = server.served.health.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    server.served.stop.set()

    server.engine.die()

    assert (await watch.read()).status == NOT_SERVING
    assert await server.served.exit_code == 1


async def test_what_is_not_sent_yet_is_in_flight(start_in_memory: StartInMemory, bundle: Bundle) -> None:
    """Answers of some twenty megabytes to a caller that takes none for a while."""
    server = await start_in_memory(max_unsent_bytes_per_caller=64 * 2**20)
    requests = [pb.ClassifyRequest(text="hello", top_k=len(bundle.model.intents))] * 200
    async with (
        TcpProxy(server.served.address).running() as proxy,
        grpc.aio.insecure_channel(proxy.address, options=LARGE) as channel,
    ):
        batch = IntentServiceStub(channel).BatchClassify
        await batch(pb.BatchClassifyRequest(requests=requests[:1]))
        calls = [asyncio.ensure_future(batch(pb.BatchClassifyRequest(requests=requests))) for _ in range(12)]
        while len(server.engine.prompts) < 100:  # noqa: ASYNC110  # polled, as the engine tells nobody
            await asyncio.sleep(0.001)
        proxy.freeze()
        while len(server.engine.prompts) < 1 + 12 * len(requests):  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
        server.served.stop.set()
        await asyncio.sleep(0.5)
        assert not server.served.exit_code.done()
        proxy.thaw()

        assert [len(answer.results) for answer in await asyncio.gather(*calls)] == [len(requests)] * 12
    assert await server.served.exit_code == 0


async def test_a_draining_server_says_nothing_of_its_model_either(server: InMemory) -> None:
    server.engine.hold()
    in_flight = asyncio.ensure_future(server.served.intents.Classify(HELLO))
    await server.engine.wait_running(1)
    stream = StreamCaller(server.served.intents)
    await stream.open()

    server.served.stop.set()
    assert (await stream.receive()).HasField("drain")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.served.models.ListModels(model_service_pb2.ListModelsRequest())
    server.engine.release()

    assert reason_of(rich_status(caught.value)) == "DRAINING"
    assert (await in_flight).predictions


async def test_each_state_stands_in_the_log(
    start_in_memory: StartInMemory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("intently_server"), "propagate", True)
    caplog.set_level(logging.INFO, logger="intently_server")
    server = await start_in_memory()

    server.served.stop.set()
    await server.served.exit_code

    states = [message.split(":")[0] for message in caplog.messages]
    told = ["leaving", "draining", "stopping", "shutting the engine down", "stopped"]
    assert [state for state in states if state in told] == told
