"""A caller that gives up: whatever the shape of its call, the work leaves the engine."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.in_memory import InMemory
from support.serving import Served
from support.stream_caller import StreamCaller

pytestmark = pytest.mark.usefixtures("no_errors_logged")

ITEMS = 5
HELLO = pb.ClassifyRequest(text="hello")
Call = Callable[[Served, float | None], Awaitable[object]]


async def unary(served: Served, seconds: float | None) -> object:
    return await asyncio.gather(*(served.intents.Classify(HELLO, timeout=seconds) for _ in range(ITEMS)))


async def batch(served: Served, seconds: float | None) -> object:
    return await served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO] * ITEMS), timeout=seconds)


async def stream(served: Served, seconds: float | None) -> object:
    caller = StreamCaller(served.intents, seconds)
    await caller.open()
    for number in range(ITEMS):
        await caller.item(str(number))
    return await caller.receive()


async def ordered_stream(served: Served, seconds: float | None) -> object:
    caller = StreamCaller(served.intents, seconds)
    await caller.open(ordered=True)
    for number in range(ITEMS):
        await caller.item(str(number))
    return await caller.finish()


every_shape = pytest.mark.parametrize("call", [unary, batch, stream, ordered_stream])


@every_shape
async def test_cancelling_reaches_the_engine(server: InMemory, call: Call) -> None:
    server.engine.hold()
    calling = asyncio.ensure_future(call(server.served, None))
    await server.engine.wait_running(ITEMS)

    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await server.engine.wait_running(0)

    assert server.engine.cancelled == ITEMS
    server.engine.release()
    assert (await server.served.intents.Classify(HELLO)).predictions


@every_shape
async def test_a_deadline_reaches_the_engine(server: InMemory, call: Call) -> None:
    server.engine.hold()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(server.served, 0.3)
    await server.engine.wait_running(0)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.engine.cancelled == ITEMS
    server.engine.release()
    assert (await server.served.intents.Classify(HELLO)).predictions


async def test_a_lost_connection_reaches_the_engine(server: InMemory) -> None:
    server.engine.hold()
    async with grpc.aio.insecure_channel(server.served.address) as channel:
        call: Any = channel.unary_unary("/intently.v1.IntentService/Classify")
        calling = asyncio.ensure_future(call(HELLO.SerializeToString()))
        await server.engine.wait_running(1)

    await asyncio.gather(calling, return_exceptions=True)
    await server.engine.wait_running(0)

    assert server.engine.cancelled == 1


async def test_one_that_is_cancelled_does_not_hold_the_others_up(server: InMemory) -> None:
    server.engine.hold()
    calls = [asyncio.ensure_future(server.served.intents.Classify(HELLO)) for _ in range(4)]
    await server.engine.wait_running(4)

    calls[1].cancel()
    await server.engine.wait_running(3)
    server.engine.release()

    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, pb.ClassifyResponse) for answer in answers] == [True, False, True, True]


async def test_a_deadline_within_reach_is_no_error(server: InMemory) -> None:
    assert (await server.served.intents.Classify(HELLO, timeout=30)).predictions
