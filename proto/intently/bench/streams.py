"""What is sent: items on long-lived streams. Each must get one answer; the others are counted."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc

from intently.bench.plan import Plan, Share
from intently.bench.tally import OK, Answer
from intently.bench.traffic import connect, open_channel, outcome_name
from intently.errors import from_rpc_error, from_status
from intently.v1 import intent_service_pb2 as pb


class ItemStream(Protocol):
    """One stream, whoever keeps it."""

    async def open(self) -> None:
        """Opens it."""
        ...

    async def send(self, request_id: str, text: str) -> None:
        """Sends an item, once there is a place for it."""
        ...

    def answers(self) -> AsyncIterator[tuple[str, Answer]]:
        """Answers with the ids of their items, until the stream ends."""
        ...

    async def close(self) -> None:
        """Half-closes."""
        ...


class Streams:
    """Items over `share.streams` streams, in turn.

    Args:
        streams: Not open yet.
    """

    def __init__(self, plan: Plan, share: Share, channels: list[grpc.aio.Channel], streams: list[ItemStream]) -> None:
        self._plan = plan
        self._channels = channels
        self._streams = streams
        self._pending: list[dict[str, asyncio.Future[Answer]]] = [{} for _ in streams]
        self._readers: list[asyncio.Task[None]] = []
        said = random.Random(plan.seed + share.index).sample(plan.utterances, len(plan.utterances))
        self._texts = itertools.cycle(said)
        self._ids = (f"{share.index}-{number}" for number in itertools.count())
        self.answered_twice = 0
        self.lost = 0

    async def open(self) -> None:
        """See `Traffic`."""
        await connect(self._channels, self._plan.wait_s)
        await asyncio.gather(*(stream.open() for stream in self._streams))
        self._readers = [asyncio.ensure_future(self._read(number)) for number in range(len(self._streams))]

    async def call(self, number: int) -> Answer:
        """See `Traffic`."""
        number %= len(self._streams)
        request_id = next(self._ids)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        pending = self._pending[number]
        pending[request_id] = answer
        try:
            await self._streams[number].send(request_id, next(self._texts))
        except grpc.aio.AioRpcError as error:
            pending.pop(request_id, None)
            return failure(error)
        except asyncio.InvalidStateError:  # the stream has ended
            pending.pop(request_id, None)
            return Answer(ok=False, items=((("UNAVAILABLE", "STREAM_ENDED"), 1),))
        return await answer

    async def close(self) -> None:
        """See `Traffic`."""
        self.lost = sum(len(pending) for pending in self._pending)
        await asyncio.gather(*(stream.close() for stream in self._streams), return_exceptions=True)
        if self._readers:
            await asyncio.wait(self._readers, timeout=1.0)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def _read(self, number: int) -> None:
        pending = self._pending[number]
        ended = Answer(ok=False, items=((("UNAVAILABLE", "STREAM_ENDED"), 1),))
        try:
            async for request_id, answer in self._streams[number].answers():
                waiter = pending.pop(request_id, None)
                if waiter is None:
                    self.answered_twice += 1
                elif not waiter.done():
                    waiter.set_result(answer)
        except grpc.aio.AioRpcError as error:
            ended = failure(error)
        for waiter in pending.values():
            if not waiter.done():
                waiter.set_result(ended)


def failure(error: grpc.aio.AioRpcError) -> Answer:
    """The end of an item whose stream failed."""
    return Answer(ok=False, items=(((error.code().name, from_rpc_error(error).reason), 1),))


class RawStream:
    """A stream by the contract alone: nobody reopens it.

    Args:
        ask: Items in flight to ask for; 0 leaves it to the server.
    """

    def __init__(self, channel: grpc.aio.Channel, plan: Plan, ask: int) -> None:
        self._method = channel.stream_stream(
            "/intently.v1.IntentService/ClassifyStream",
            request_serializer=pb.ClassifyStreamRequest.SerializeToString,
            response_deserializer=pb.ClassifyStreamResponse.FromString,
        )
        self._plan = plan
        self._ask = ask
        self._places = asyncio.Semaphore(0)
        self._writing = asyncio.Lock()
        self._call: Any = None

    async def open(self) -> None:
        """See `ItemStream`."""
        self._call = self._method(metadata=grpc.aio.Metadata(*self._plan.metadata))
        config = pb.StreamConfig(max_in_flight=self._ask, ordered=self._plan.ordered)
        await self._call.write(pb.ClassifyStreamRequest(config=config))
        first = await self._call.read()
        self._places = asyncio.Semaphore(first.ready.max_in_flight)

    async def send(self, request_id: str, text: str) -> None:
        """See `ItemStream`."""
        await self._places.acquire()
        item = pb.ClassifyItem(request=pb.ClassifyRequest(request_id=request_id, text=text))
        async with self._writing:
            await self._call.write(pb.ClassifyStreamRequest(item=item))

    async def answers(self) -> AsyncIterator[tuple[str, Answer]]:
        """See `ItemStream`."""
        while (message := await self._call.read()) is not grpc.aio.EOF:
            if message.HasField("response"):
                outcomes = (outcome_name(message.response),)
                answer = Answer(ok=True, items=(((OK, ""), 1),), outcomes=outcomes)
                yield message.response.request_id, answer
            elif message.HasField("error"):
                error = from_status(message.error.status)
                yield message.error.request_id, Answer(ok=False, items=(((error.code.name, error.reason), 1),))
            else:
                continue
            self._places.release()

    async def close(self) -> None:
        """See `ItemStream`."""
        await self._call.done_writing()


def raw_streams(plan: Plan, share: Share) -> Streams:
    """Streams of the contract alone, spread over the connections."""
    channels = [open_channel(plan) for _ in range(plan.connections)]
    ask = 0 if plan.rate is not None else share.concurrency
    streams: list[ItemStream] = [
        RawStream(channels[number % len(channels)], plan, ask) for number in range(share.streams)
    ]
    return Streams(plan, share, channels, streams)
