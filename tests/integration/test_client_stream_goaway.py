"""`client.stream()` on a connection that the server's side tells to go."""

import asyncio

import pytest

from intently import IntentClient
from support.goaway_proxy import GoawayProxy
from support.in_memory import InMemory

ALL = 2**31 - 1  # every stream may go on
NONE = 0  # none was seen by the server


@pytest.mark.parametrize("last_stream_id", [ALL, NONE])
async def test_a_goaway_loses_no_item_of_a_live_stream(server: InMemory, last_stream_id: int) -> None:
    proxy = GoawayProxy(server.served.address)
    async with proxy.running() as address, IntentClient(address) as client, client.stream() as stream:
        server.engine.hold()
        asked = [asyncio.ensure_future(stream.classify(f"text {number}")) for number in range(30)]
        await server.engine.wait_running(30)

        proxy.goaway(last_stream_id)
        beside = [asyncio.ensure_future(client.classify("beside it"))]
        while proxy.connections < 2:  # that call, or the stream, comes by another connection
            await asyncio.sleep(0.05)
            # A call that set out before the client had read the frame is still of the first connection, and waits.
            beside.append(asyncio.ensure_future(client.classify("beside it")))
        server.engine.release()
        answers = await asyncio.gather(*asked, *beside)
        later = await stream.classify("later")

    assert all(answer.predictions for answer in [*answers, later])
    first = server.engine.prompts[0]
    assert server.engine.prompts.count(first) == (1 if last_stream_id == ALL else 2)  # sent again where it was unseen
