"""Cancelled calls leave the real engine with nothing to do, whatever their shape and whoever ended them."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.kept_engine import IDLE, Real, wait_busy, wait_idle
from support.serving import Served
from support.stream_caller import StreamCaller

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]

ITEMS = 200
Call = Callable[[Served, float | None], Awaitable[object]]


def long_text(number: int) -> str:
    """A text of some hundred tokens that no other begins with, so that all of them together take seconds."""
    return f"{number} " + "please move what is left on my account to the other one " * 25


def requests() -> list[pb.ClassifyRequest]:
    return [pb.ClassifyRequest(text=long_text(number), allow_truncation=True) for number in range(ITEMS)]


async def unary(served: Served, seconds: float | None) -> object:
    return await asyncio.gather(*(served.intents.Classify(request, timeout=seconds) for request in requests()))


async def batch(served: Served, seconds: float | None) -> object:
    return await served.intents.BatchClassify(pb.BatchClassifyRequest(requests=requests()), timeout=seconds)


async def stream(served: Served, seconds: float | None) -> object:
    caller = StreamCaller(served.intents, seconds)
    await caller.open()
    for number in range(ITEMS):
        await caller.item(str(number), text=long_text(number))
    return await caller.finish()


every_shape = pytest.mark.parametrize("call", [unary, batch, stream])


async def assert_nothing_is_left(real: Real) -> None:
    await wait_idle(real.engine)
    answer = await real.served.intents.Classify(pb.ClassifyRequest(text="wake me at seven"))
    await wait_idle(real.engine)
    assert answer.predictions
    assert real.engine.load() == IDLE


@every_shape
async def test_cancelling_leaves_the_engine_idle(real: Real, call: Call) -> None:
    calling = asyncio.ensure_future(call(real.served, None))
    await wait_busy(real.engine)

    assert not calling.done()
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)

    await assert_nothing_is_left(real)


@every_shape
async def test_a_deadline_leaves_the_engine_idle(real: Real, call: Call) -> None:
    calling = asyncio.ensure_future(call(real.served, 0.5))
    await wait_busy(real.engine)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calling

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await assert_nothing_is_left(real)
