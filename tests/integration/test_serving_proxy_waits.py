"""Calls that waited in a proxy before they came: their deadline is nearer than gRPC says, and a full server says no."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.wire import reason_of, rich_status

HELLO = pb.ClassifyRequest(text="hello")


def came(seconds_ago: float, attempt: int = 1, timeout: int | None = None) -> tuple[tuple[str, str], ...]:
    """Metadata of a proxy that got the call so long ago, when its caller gave it so many seconds."""
    told = (("x-request-start", f"t={time.time() - seconds_ago:.3f}"), ("x-envoy-attempt-count", str(attempt)))
    return told if timeout is None else (*told, ("x-intently-timeout", f"{timeout}S"))


async def refusal_of(call: "grpc.aio.UnaryUnaryCall[pb.ClassifyRequest, pb.ClassifyResponse]") -> str:
    """The reason that a refused call is told."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(rich_status(caught.value))


@asynccontextmanager
async def one_under_way(server: InMemory) -> AsyncIterator[None]:
    """A call that did not wait stays with the engine until the block ends: by it the proxy's clock is known."""
    server.engine.hold()
    running = asyncio.ensure_future(server.served.intents.Classify(HELLO, metadata=came(0)))
    await server.engine.wait_running(1)
    yield
    server.engine.release()
    assert (await running).predictions


async def test_a_deadline_that_passed_in_the_proxy_is_no_work_for_the_engine(server: InMemory) -> None:
    intents, late = server.served.intents, came(30, timeout=20)
    async with one_under_way(server):
        assert await refusal_of(intents.Classify(HELLO, metadata=late, timeout=20)) == "DEADLINE_UNMEETABLE"
        batch = pb.BatchClassifyRequest(requests=[HELLO])
        [item] = (await intents.BatchClassify(batch, metadata=late, timeout=20)).results
        assert item.error.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]

    assert len(server.engine.prompts) == 1


async def test_a_deadline_that_the_proxy_tells_of_is_kept_without_grpc(server: InMemory) -> None:
    async with one_under_way(server):
        began = time.monotonic()
        assert (
            await refusal_of(server.served.intents.Classify(HELLO, metadata=came(0, timeout=1)))
            == "DEADLINE_UNMEETABLE"
        )

        assert time.monotonic() - began >= 0.9
        await server.engine.wait_running(1)  # it is taken from the engine, too


async def test_a_second_try_and_a_call_that_waited_less_are_answered(server: InMemory) -> None:
    told = [came(30, attempt=2, timeout=40), came(10, timeout=20), came(30)]
    async with one_under_way(server):
        calls = [server.served.intents.Classify(HELLO, metadata=each, timeout=20) for each in told]
        await server.engine.wait_running(1 + len(calls))

    assert all([(await call).predictions for call in calls])


async def test_a_full_server_refuses_what_waited_too_long(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_running=1, max_wait=5.0)
    async with one_under_way(server):
        assert await refusal_of(server.served.intents.Classify(HELLO, metadata=came(30))) == "OVERLOADED"


async def test_what_a_stream_s_opening_waited_is_nothing_to_its_items(server: InMemory) -> None:
    async with one_under_way(server):
        stream = StreamCaller(server.served.intents, timeout=20, metadata=came(30, timeout=20))
        await stream.open()
        await stream.item("1")
        await server.engine.wait_running(2)

    assert (await stream.receive()).response.predictions
    await stream.finish()
