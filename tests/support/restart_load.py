"""Calls and streams that go on while servers are restarted, and every answer that is missing, wrong, or there twice."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import grpc

from intently.client import IntentClient
from intently.errors import IntentlyError
from intently.stream import ClassifyStream
from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub

_TIMEOUT_S = 15.0
_BATCH = 8
_NO_RETRIES = [("grpc.enable_retries", 0)]


class RestartLoad:
    """Counts what it sends and what comes back.

    Args:
        address: HOST:PORT of what stands before the servers.
        pause_s: Between what each caller sends.

    Attributes:
        answered: Good answers: "call", "batch" and "item" by the client library, "bare" by gRPC alone, which retries
            nothing.
        failures: Everything else.
        last_sent: When the last call was sent that a revision has answered, in monotonic seconds, by revision.
        last_answered: When a revision answered its last call, likewise.
        on: The revision that answered the last item of each stream.
    """

    def __init__(self, address: str, pause_s: float = 0.01) -> None:
        self._address = address
        self._pause_s = pause_s
        self._over = asyncio.Event()
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self.last_sent: dict[str, float] = {}
        self.last_answered: dict[str, float] = {}
        self.on: dict[int, str] = {}

    @contextlib.asynccontextmanager
    async def running(
        self, *, callers: int = 3, bare: int = 2, streams: int = 4, batches: int = 1
    ) -> AsyncIterator[None]:
        """Runs until the block ends, and then until all that was sent is answered."""
        bare_channel = grpc.aio.insecure_channel(self._address, options=_NO_RETRIES)
        library = IntentClient(self._address, timeout_s=_TIMEOUT_S)
        async with library as client, bare_channel as channel, asyncio.TaskGroup() as tasks:
            for caller in range(callers):
                tasks.create_task(self._call(client, caller))
            for caller in range(bare):
                tasks.create_task(self._call_bare(channel, caller))
            for caller in range(batches):
                tasks.create_task(self._batch(client, caller))
            for caller in range(streams):
                tasks.create_task(self._stream(client, caller))
            try:
                yield
            finally:
                self._over.set()

    async def wait_more_than(self, before: Counter[str]) -> None:
        """Returns once more of each kind was answered than `before`; a test's own timeout bounds the wait."""
        while not all(self.answered[kind] > before[kind] for kind in ("call", "bare", "item")):  # noqa: ASYNC110  # polled, so that counting stays simple
            await asyncio.sleep(self._pause_s)

    async def _call(self, client: IntentClient, caller: int) -> None:
        text = f"hello from {caller}"
        right = await client.classify(text)
        while not self._over.is_set():
            sent_at = time.monotonic()
            try:
                answer = await client.classify(text)
            except IntentlyError as error:
                self.failures.append(f"call: {error}")
            else:
                self._count("call", right=answer.predictions == right.predictions)
                self._answered_by(answer.message.model.revision, sent_at)
            await asyncio.sleep(self._pause_s)

    async def _batch(self, client: IntentClient, caller: int) -> None:
        texts = [f"batch {caller} {number}" for number in range(_BATCH)]
        while not self._over.is_set():
            try:
                answers = await client.classify_batch(texts)
            except IntentlyError as error:
                self.failures.append(f"batch: {error}")
            else:
                errors = [answer for answer in answers if isinstance(answer, IntentlyError)]
                self.failures += [f"of a batch: {error}" for error in errors]
                self._count("batch", right=len(answers) == _BATCH)
            await asyncio.sleep(_BATCH * self._pause_s)

    async def _call_bare(self, channel: grpc.aio.Channel, caller: int) -> None:
        intents, number = IntentServiceStub(channel), 0
        while not self._over.is_set():
            request, sent_at = pb.ClassifyRequest(request_id=f"{caller} {number}", text="hello"), time.monotonic()
            try:
                answer = await intents.Classify(request, timeout=_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"bare: {error.code().name} {error.details()}")
            else:
                self._count("bare", right=answer.request_id == request.request_id)
                self._answered_by(answer.model.revision, sent_at)
            number += 1
            await asyncio.sleep(self._pause_s)

    async def _stream(self, client: IntentClient, caller: int) -> None:
        ordered = bool(caller % 2)
        async with client.stream(ordered=ordered, timeout_s=_TIMEOUT_S) as stream:
            sending = asyncio.create_task(self._send(stream))
            came: list[str] = []
            async for answer in stream:
                came.append(answer.request_id)
                if isinstance(answer.result, IntentlyError):
                    self.failures.append(f"item: {answer.result}")
                else:
                    self.answered["item"] += 1
                    self.on[caller] = answer.result.message.model.revision
            sent = await sending
        twice = [request_id for request_id, times in Counter(came).items() if times > 1]
        self.failures += [f"item {request_id}: lost" for request_id in sorted(set(sent) - set(came))]
        self.failures += [f"item {request_id}: answered twice" for request_id in twice]
        if ordered and came != sent:
            self.failures.append("items: out of order")

    async def _send(self, stream: ClassifyStream) -> list[str]:
        sent: list[str] = []
        while not self._over.is_set():
            sent.append(await stream.send(f"item {len(sent)}"))
            await asyncio.sleep(self._pause_s)
        await stream.done()
        return sent

    def _count(self, kind: str, right: bool) -> None:  # what was found
        if right:
            self.answered[kind] += 1
        else:
            self.failures.append(f"{kind}: the answer to another call")

    def _answered_by(self, revision: str, sent_at: float) -> None:
        self.last_sent[revision] = max(sent_at, self.last_sent.get(revision, 0.0))
        self.last_answered[revision] = time.monotonic()
