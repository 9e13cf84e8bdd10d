"""Thousands of calls at once, of one caller, that no handler has begun yet: others' calls are answered all the same."""

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.hostile.connections import streams_dropped
from support.in_memory_server import InMemoryServer

pytestmark = pytest.mark.timeout(60)

STREAMS = 5_000
CALLS = 100


async def test_no_call_is_ended_for_what_others_do(server: InMemoryServer) -> None:
    async with grpc.aio.insecure_channel(server.address, options=[("grpc.enable_retries", 0)]) as channel:
        intents = IntentServiceStub(channel)
        await intents.Classify(pb.ClassifyRequest(text="hello"))
        for _ in range(2):
            await streams_dropped(server.address, STREAMS)

            calls = [intents.Classify(pb.ClassifyRequest(text="hello"), timeout=20) for _ in range(CALLS)]

            assert [await call.code() for call in calls] == [grpc.StatusCode.OK] * CALLS
