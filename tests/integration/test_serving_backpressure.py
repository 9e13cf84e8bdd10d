"""A caller that sends and reads nothing: the server stops for it, and loses nothing."""

import asyncio

from intently.v1 import intent_service_pb2 as pb
from intently_server.bundle import Bundle
from support.in_memory import InMemory
from support.memory_engine import MemoryEngine
from support.stream_caller import StreamCaller

SENT = 2_000


async def settled(engine: MemoryEngine) -> int:
    """How many prompts the engine has got, once no more come."""
    while True:
        before = len(engine.prompts)
        await asyncio.sleep(0.5)
        if len(engine.prompts) == before:
            return before


async def test_a_caller_that_reads_nothing_is_soon_read_from_no_more(server: InMemory, bundle: Bundle) -> None:
    """Answers fill the caller's HTTP/2 window, some megabytes; then the grant is used up and work stops."""
    stream = StreamCaller(server.served.intents)
    await stream.open(max_in_flight=8)
    everything = len(bundle.model.intents)
    for number in range(SENT):
        request = pb.ClassifyRequest(request_id=str(number), text=f"text {number}", top_k=everything)
        await stream.send(pb.ClassifyStreamRequest(item=pb.ClassifyItem(request=request)))

    done = await settled(server.engine)
    served_meanwhile = await server.served.intents.Classify(pb.ClassifyRequest(text="hello"))
    answers = await stream.finish()

    assert done < SENT
    assert served_meanwhile.predictions
    assert sorted(int(answer.response.request_id) for answer in answers) == list(range(SENT))
