"""Calls that go on while something about the server changes: unary, on new connections, and on open streams."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import trustme

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from support.certificates import secure_channel
from support.stream_caller import StreamCaller

_CALL_TIMEOUT_S = 20.0
_PAUSE_S = 0.001  # leaves the loop to others
_KINDS = ("unary", "connection", "item")


class RotationLoad:
    """Counts what it sends and what comes back.

    Args:
        address: HOST:PORT of a server with TLS.
        authority: Of its certificates.
    """

    def __init__(self, address: str, authority: trustme.CA) -> None:
        self._address = address
        self._authority = authority
        self._over = asyncio.Event()
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self.unbroken_streams = 0

    @contextlib.asynccontextmanager
    async def running(self, *, callers: int = 3, connectors: int = 2, streams: int = 3) -> AsyncIterator[None]:
        """Runs until the block ends, and then lets each caller finish what it began.

        Args:
            callers: Send one unary call after the other on one connection that all share.
            connectors: Send each unary call on a new connection.
            streams: Send one item after the other on a stream that stays open.
        """
        async with contextlib.AsyncExitStack() as stack:
            channel = await stack.enter_async_context(secure_channel(self._address, self._authority))
            old = [await stack.enter_async_context(secure_channel(self._address, self._authority)) for _ in range(2)]
            tasks = [asyncio.ensure_future(self._repeat("unary", lambda: _classify(channel))) for _ in range(callers)]
            tasks += [asyncio.ensure_future(self._repeat("connection", self._connect)) for _ in range(connectors)]
            tasks += [asyncio.ensure_future(self._stream(old[at % len(old)])) for at in range(streams)]
            try:
                yield
            finally:
                self._over.set()
                await asyncio.gather(*tasks)

    async def wait_more_than(self, before: Counter[str]) -> None:
        """Returns once more of each kind was answered than `before`; a test's own timeout bounds the wait."""
        while not all(self.answered[kind] > before[kind] for kind in _KINDS):  # noqa: ASYNC110  # polled, so that counting stays simple
            await asyncio.sleep(_PAUSE_S)

    async def _repeat(self, kind: str, call: Callable[[], Awaitable[None]]) -> None:
        while not self._over.is_set():
            try:
                await call()
                self.answered[kind] += 1
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"{kind}: {error.code().name} {error.details()}")
            await asyncio.sleep(_PAUSE_S)

    async def _connect(self) -> None:
        async with secure_channel(self._address, self._authority) as channel:
            await _classify(channel)

    async def _stream(self, channel: grpc.aio.Channel) -> None:
        """One item at a time, so that an answer that is lost is missed at once."""
        stream, number = StreamCaller(IntentServiceStub(channel)), 0
        try:
            await stream.open()
            while not self._over.is_set():
                await stream.item(str(number))
                answer = await asyncio.wait_for(stream.receive(), _CALL_TIMEOUT_S)
                assert answer.response.request_id == str(number)
                self.answered["item"] += 1
                number += 1
                await asyncio.sleep(_PAUSE_S)
            assert await stream.finish() == []
            self.unbroken_streams += 1
        except (AssertionError, TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            self.failures.append(f"stream: {type(error).__name__} {error}")


async def _classify(channel: grpc.aio.Channel) -> None:
    answer = await IntentServiceStub(channel).Classify(pb.ClassifyRequest(text="hello"), timeout=_CALL_TIMEOUT_S)
    assert answer.predictions
