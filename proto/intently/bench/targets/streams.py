"""What is sent: items on long-lived streams. Each must get one answer; the others are counted."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from typing import Protocol

import grpc

from intently.answers import Classification
from intently.bench.plan import Plan, Share
from intently.bench.tally import OK, Answer
from intently.bench.targets.channels import connect, keepalive_s, open_channels
from intently.bench.targets.grpc_calls import outcome_name
from intently.bench.targets.raw_stream import RawStream, ended
from intently.bench.targets.traffic import failure
from intently.client import IntentClient
from intently.errors import IntentlyError


class ItemStream(Protocol):
    """One stream, whoever keeps it. What fails raises an IntentlyError."""

    async def open(self) -> None:
        """Opens it."""
        ...

    async def send(self, request_id: str, text: str) -> None:
        """Sends an item, once there is a place for it."""
        ...

    def answers(self) -> AsyncIterator[tuple[str, Answer]]:
        """Answers with the ids of their items, until the stream ends."""
        ...

    async def finish(self) -> None:
        """Half-closes."""
        ...

    async def close(self) -> None:
        """Ends it at once, if it has not ended."""
        ...


class LibraryStream:
    """A stream of the client library: it outlives drains, restarts and lost connections.

    Args:
        ask: Items in flight to ask for; 0 leaves it to the server.
    """

    def __init__(self, client: IntentClient, plan: Plan, ask: int) -> None:
        self._stream = client.stream(ordered=plan.ordered, max_in_flight=ask)

    async def open(self) -> None:
        """See `ItemStream`."""
        await self._stream.__aenter__()

    async def send(self, request_id: str, text: str) -> None:
        """See `ItemStream`."""
        await self._stream.send(text, request_id=request_id)

    async def answers(self) -> AsyncIterator[tuple[str, Answer]]:
        """See `ItemStream`."""
        async for answer in self._stream:
            yield answer.request_id, _answer(answer.result)

    async def finish(self) -> None:
        """See `ItemStream`."""
        await self._stream.done()

    async def close(self) -> None:
        """See `ItemStream`."""
        await self._stream.close()


class Streams:
    """Items over streams, in turn.

    Args:
        streams: Not open yet.
        channels: To be connected before, and closed at the end.
        clients: To be closed at the end.
    """

    def __init__(
        self,
        plan: Plan,
        share: Share,
        streams: list[ItemStream],
        channels: list[grpc.aio.Channel],
        clients: list[IntentClient],
    ) -> None:
        self._wait_s = plan.wait_s
        self._channels = channels
        self._clients = clients
        self._streams = streams
        self._pending: list[dict[str, asyncio.Future[Answer]]] = [{} for _ in streams]
        self._readers: list[asyncio.Task[None]] = []
        said = random.Random(plan.seed + share.index).sample(plan.utterances, len(plan.utterances))
        self._texts = itertools.cycle(said)
        self._ids = (f"{share.index}-{number}" for number in itertools.count())
        self._given_up: set[str] = set()  # items whose answers nobody waits for any more
        self._answered_twice = 0

    async def open(self) -> None:
        """See `Traffic`."""
        await connect(self._channels, self._wait_s)
        async with asyncio.timeout(self._wait_s):
            await asyncio.gather(*(stream.open() for stream in self._streams))
        self._readers = [asyncio.ensure_future(self._read(number)) for number in range(len(self._streams))]

    async def call(self, number: int) -> Answer:
        """See `Traffic`."""
        number %= len(self._streams)
        request_id = next(self._ids)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[number][request_id] = answer
        try:
            await self._streams[number].send(request_id, next(self._texts))
        except IntentlyError as error:
            self._pending[number].pop(request_id, None)
            return failure(error)
        return await answer

    def settle(self) -> tuple[int, int]:
        """See `Traffic`."""
        lost = [request_id for pending in self._pending for request_id in pending]
        self._given_up.update(lost)
        for pending in self._pending:
            pending.clear()
        answered_twice, self._answered_twice = self._answered_twice, 0
        return len(lost), answered_twice

    async def close(self) -> None:
        """See `Traffic`."""
        await asyncio.gather(*(stream.finish() for stream in self._streams))
        if self._readers:
            await asyncio.wait(self._readers, timeout=1.0)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(stream.close() for stream in self._streams))
        await asyncio.gather(*(client.close() for client in self._clients))
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def _read(self, number: int) -> None:
        pending = self._pending[number]
        end = failure(ended())
        try:
            async for request_id, answer in self._streams[number].answers():
                waiter = pending.pop(request_id, None)
                if waiter is None:
                    self._answered_twice += request_id not in self._given_up
                    self._given_up.discard(request_id)
                elif not waiter.done():
                    waiter.set_result(answer)
        except IntentlyError as error:
            end = failure(error)
        for waiter in pending.values():
            if not waiter.done():
                waiter.set_result(end)
        pending.clear()


def _answer(result: Classification | IntentlyError) -> Answer:
    if isinstance(result, IntentlyError):
        return failure(result)
    return Answer(ok=True, items=(((OK, ""), 1),), outcomes=(outcome_name(result.message),))


def streams_of(plan: Plan, share: Share) -> Streams:
    """The streams of one process, spread over its connections."""
    ask = 0 if plan.rate is not None else share.concurrency
    if plan.raw_streams:
        channels = open_channels(plan)
        raw: list[ItemStream] = [RawStream(channels[n % len(channels)], plan, ask) for n in range(share.streams)]
        return Streams(plan, share, raw, channels, [])
    clients = [
        IntentClient(
            plan.target.address,
            security=plan.credentials.load(),
            timeout_s=plan.timeout_s,
            priority=plan.priority,
            keepalive_s=keepalive_s(number),
        )
        for number in range(plan.connections)
    ]
    kept: list[ItemStream] = [LibraryStream(clients[n % len(clients)], plan, ask) for n in range(share.streams)]
    return Streams(plan, share, kept, [], clients)
