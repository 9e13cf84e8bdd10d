"""What a caller's priority does: it is had by metadata, within what the operator allows."""

import asyncio
from pathlib import Path

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.admin_caller import admin_address, wait_sum
from support.in_memory import InMemory, StartInMemory
from support.stream_caller import StreamCaller
from support.wire import fields_of, rich_status

LOW, HIGH = pb.ClassifyRequest(text="of low"), pb.ClassifyRequest(text="of high")


def claiming(priority: str) -> tuple[tuple[str, str], ...]:
    return (("x-intently-priority", priority),)


@pytest.mark.parametrize(("max_priority", "of_high"), [("high", 4), ("low", 0)])
async def test_a_high_priority_is_served_first_where_it_may_be_claimed(
    start_in_memory: StartInMemory, tmp_path: Path, bundle: Bundle, max_priority: str, of_high: int
) -> None:
    ready = tmp_path / "ready.json"
    server = await start_in_memory(max_running=1, max_wait=600.0, max_priority=max_priority, ready_file=ready)
    intents, admin = server.served.intents, admin_address(ready)
    server.engine.hold()
    first = asyncio.ensure_future(intents.Classify(pb.ClassifyRequest(text="first")))
    await server.engine.wait_running(1)
    low = [asyncio.ensure_future(intents.Classify(LOW, metadata=claiming("low"))) for _ in range(5)]
    await wait_sum(admin, 5, "intently_server_queued_requests")
    high = [asyncio.ensure_future(intents.Classify(HIGH, metadata=claiming("high"))) for _ in range(5)]
    await wait_sum(admin, 10, "intently_server_queued_requests")

    server.engine.release()
    await asyncio.gather(first, *low, *high)

    prompt = tuple(bundle.encoder.encode(HIGH.text).token_ids)
    assert server.engine.prompts[1:6].count(prompt) == of_high  # 4 of 5 by their weights; in their order without


async def test_a_priority_that_does_not_exist_is_refused(server: InMemory) -> None:
    metadata = claiming("urgent")
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await server.served.intents.Classify(LOW, metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as batch:
        await server.served.intents.BatchClassify(pb.BatchClassifyRequest(requests=[LOW]), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as stream:
        await StreamCaller(server.served.intents, metadata=metadata).call.read()

    for error in (unary.value, batch.value, stream.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert fields_of(rich_status(error)) == ["metadata x-intently-priority"]
    assert server.engine.prompts == []
