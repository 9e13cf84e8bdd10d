"""Long texts, which threads tokenize: one caller's many hold up no other's, long or short, and too many are refused."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.bundle import Bundle
from intently_server.types import Query
from support.in_memory import InMemory, StartInMemory
from support.wire import reason_of, retry_ms, rich_status

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

FLOOD = 60
WORDS = " ".join(f"{number * 7919:x}" for number in range(5_000))  # none of which is like another
LONG = pb.ClassifyRequest(text=WORDS[:20_000], allow_truncation=True)
MIDDLING = pb.ClassifyRequest(text=WORDS[:2_100], allow_truncation=True)
SHORT = pb.ClassifyRequest(text="please book me a table for two at the italian place at eight")


class Flood:
    """Calls with long texts, all at once, on a connection of their own."""

    def __init__(self, intents: "IntentServiceAsyncStub") -> None:
        self.answered = 0
        self._first = asyncio.Event()
        self.calls = [asyncio.ensure_future(self._call(intents)) for _ in range(FLOOD)]

    async def begun(self) -> None:
        """Returns once one of them is answered, when the others wait."""
        await self._first.wait()

    async def _call(self, intents: "IntentServiceAsyncStub") -> None:
        await intents.Classify(LONG)
        self.answered += 1
        self._first.set()


@contextlib.asynccontextmanager
async def other_connection(server: InMemory) -> AsyncIterator["IntentServiceAsyncStub"]:
    """Calls that server by a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server.served.address, options=options) as channel:
        await channel.channel_ready()
        yield IntentServiceStub(channel)


@pytest.fixture
async def patient(start_in_memory: StartInMemory) -> InMemory:
    """A server that refuses nobody for a long wait."""
    return await start_in_memory(max_wait=600.0)


@pytest.fixture
async def elsewhere(patient: InMemory) -> AsyncIterator["IntentServiceAsyncStub"]:
    """Calls that server by another connection."""
    async with other_connection(patient) as intents:
        yield intents


async def test_others_long_texts_do_not_wait_for_all_those_of_one_caller(
    patient: InMemory, elsewhere: "IntentServiceAsyncStub"
) -> None:
    flood = Flood(patient.served.intents)
    await flood.begun()
    before = flood.answered

    await elsewhere.Classify(MIDDLING)

    assert flood.answered - before < FLOOD // 4
    await asyncio.gather(*flood.calls)


async def test_a_batch_of_short_texts_does_not_wait_for_another_s_long_ones(
    patient: InMemory, elsewhere: "IntentServiceAsyncStub"
) -> None:
    flood = Flood(patient.served.intents)
    await flood.begun()
    before = flood.answered

    batch = await elsewhere.BatchClassify(pb.BatchClassifyRequest(requests=[SHORT] * 50))

    assert all(result.HasField("response") for result in batch.results)
    assert flood.answered - before < FLOOD // 4
    await asyncio.gather(*flood.calls)


async def test_long_texts_that_would_wait_too_long_are_refused_with_a_hint(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_wait=0.05)
    intents = server.served.intents

    outcomes = await asyncio.gather(*(intents.Classify(LONG) for _ in range(FLOOD)), return_exceptions=True)

    answered = [each for each in outcomes if isinstance(each, pb.ClassifyResponse)]
    refused = [rich_status(each) for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert answered
    assert Counter(map(reason_of, refused)) == {"OVERLOADED": FLOOD - len(answered)}
    assert all(retry_ms(each) > 0 for each in refused)


async def test_places_that_wait_to_be_tokenized_do_not_shut_others_out(
    start_in_memory: StartInMemory, bundle: Bundle
) -> None:
    server = await start_in_memory(max_in_flight=64, max_wait=600.0)
    longest = pb.ClassifyRequest(text=WORDS[:30_000], allow_truncation=True)
    prompt = bundle.encoder.encode_query(Query(longest.text, allow_truncation=True))
    server.engine.hold_only(tuple(prompt.token_ids))
    async with other_connection(server) as elsewhere:
        batch = pb.BatchClassifyRequest(requests=[longest] * 64)
        greedy = asyncio.ensure_future(server.served.intents.BatchClassify(batch))
        while not server.engine.prompts:  # noqa: ASYNC110  # the others wait to be tokenized meanwhile
            await asyncio.sleep(0.001)

        try:
            answer = await elsewhere.Classify(SHORT)
        finally:
            server.engine.release()
    results = (await greedy).results
    assert answer.predictions
    assert [reason_of(each.error) for each in results if each.HasField("error")] == ["OVERLOADED"]
