"""Ids on a stream: one that was answered may be used again as soon as its caller knows."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.in_memory_server import InMemoryServer, in_memory_server
from support.paced_engine import Pace
from support.stream_caller import StreamCaller

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

STREAMS, TIMES = 8, 300  # as many as show reliably what happens between an answer's writing and what comes after it


@pytest.fixture(scope="module")
def elsewhere(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMemoryServer]:
    """A server in another process: in this one, callers would not be quick enough."""
    with in_memory_server(tmp_path_factory.mktemp("ids"), pace=Pace(0.0005, 64), bundle=bundle_path) as running:
        yield running


async def refused(intents: "IntentServiceAsyncStub", **fields: Any) -> list[pb.ItemError]:
    """Sends the same item again and again, each as soon as the one before was answered; returns what was refused."""
    stream, errors = StreamCaller(intents), []
    await stream.open()
    for _ in range(TIMES):
        await stream.item("same", **fields)
        answer = await stream.receive()
        if answer.HasField("error"):
            errors.append(answer.error)
    assert await stream.finish() == []
    return errors


@pytest.mark.parametrize("fields", [{}, {"utterance_id": "same", "sequence": 1}], ids=["request", "utterance"])
async def test_an_id_may_be_used_again_as_soon_as_it_was_answered(
    elsewhere: InMemoryServer, fields: dict[str, Any]
) -> None:
    async with grpc.aio.insecure_channel(elsewhere.address) as channel:
        intents: IntentServiceAsyncStub = IntentServiceStub(channel)

        errors = await asyncio.gather(*(refused(intents, **fields) for _ in range(STREAMS)))

    assert errors == [[]] * STREAMS
