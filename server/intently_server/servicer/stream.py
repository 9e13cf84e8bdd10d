"""One ClassifyStream: items in, exactly one answer each out, never more in flight than was granted.

An item is in flight from its reading until its answer has been written, so the outgoing queue is bounded by the grant,
and a caller that reads nothing is soon read from no more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.rpc import status_pb2

from intently.v1 import intent_service_pb2 as pb
from intently_server.classifier import Classifier
from intently_server.errors import Draining, IntentlyError, InvalidInput, ItemCancelled, Violation
from intently_server.servicer import convert
from intently_server.servicer.status import rich_status
from intently_server.servicer.stream_opening import Messages, check_config, first_config

Answer: TypeAlias = pb.ClassifyResponse | status_pb2.Status
Classify = Callable[[Classifier, pb.ClassifyRequest, float | None, bool], Awaitable[Answer]]
Write = Callable[[pb.ClassifyStreamResponse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of one stream: items in flight, turns of accumulated context, seconds that draining may take."""

    max_in_flight: int
    max_context_turns: int
    drain_grace_s: float


@dataclass(frozen=True, slots=True)
class _Entry:
    """An item in flight; `request_id` is "" for one that could not be registered under its id."""

    shown_id: str
    request_id: str
    answer: "asyncio.Future[Answer]"


class StreamSession:
    """Runs one stream.

    Args:
        classify: Answers one request, or says by a status why not; the last argument lets it leave out the oldest
            turns of the context to make the prompt fit.
        classifier: Answers all items.
        limits: Bounds.
        draining: Set once the server takes nothing new.
        deadline: The stream's, in the clock's seconds.
    """

    def __init__(
        self,
        classify: Classify,
        classifier: Classifier,
        limits: StreamLimits,
        draining: asyncio.Event,
        deadline: float | None,
    ) -> None:
        self._classify = classify
        self._classifier = classifier
        self._limits = limits
        self._draining = draining
        self._deadline = deadline
        self._in_flight: dict[str, asyncio.Future[Answer]] = {}
        self._unwritten = 0
        self._outbox: asyncio.Queue[_Entry | pb.DrainNotice | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(limits.max_in_flight)
        self._config = pb.StreamConfig()
        self._turns: deque[pb.Turn] = deque(maxlen=limits.max_context_turns)
        self._ending = False

    async def run(self, messages: Messages, write: Write) -> None:
        """Serves the stream to its end.

        Raises:
            IntentlyError: if its beginning is wrong; nothing later ends it.
        """
        config = self._config = await first_config(messages, self._draining)
        check_config(config, self._classifier.validator, self._limits.max_context_turns)
        self._turns.extend(config.initial_context)
        granted = min(config.max_in_flight or self._limits.max_in_flight, self._limits.max_in_flight)
        self._slots = asyncio.Semaphore(granted)
        ready = pb.StreamReady(max_in_flight=granted, model=convert.model_info(self._classifier.model))
        await write(pb.ClassifyStreamResponse(ready=ready))
        background = [asyncio.create_task(self._read(messages)), asyncio.create_task(self._announce_drain())]
        try:
            await self._write(write, background[0])
        finally:
            leftover: list[asyncio.Future[Any]] = [*background, *self._in_flight.values()]
            for task in leftover:
                task.cancel()
            await asyncio.gather(*leftover, return_exceptions=True)

    async def _read(self, messages: Messages) -> None:
        try:
            async for message in messages:
                await self._take(message)
        finally:
            self._ending = True
            self._outbox.put_nowait(None)

    async def _take(self, message: pb.ClassifyStreamRequest | InvalidInput) -> None:
        if isinstance(message, InvalidInput):
            await self._refuse("", message)
            return
        match message.WhichOneof("message"):
            case "item":
                await self._take_item(message.item)
            case "cancel":
                if (answer := self._in_flight.get(message.cancel.request_id)) is not None:
                    answer.cancel()
            case "reset_context":
                self._turns.clear()
            case "config":
                await self._refuse("", InvalidInput.of("config", "only the first message may be a StreamConfig"))
            case _:
                await self._refuse("", InvalidInput.of("message", "is none that this server knows"))

    async def _take_item(self, item: pb.ClassifyItem) -> None:
        request = item.request
        if self._draining.is_set():
            await self._refuse(request.request_id, Draining("this stream is ending; open another"))
            return
        violations = self._violations(item)
        if violations:
            await self._refuse(request.request_id, InvalidInput(violations))
            return
        if self._config.accumulate_context:
            try:  # what is refused must not become a turn, which would be refused with every later item
                self._classifier.validator.check(convert.query(request))
            except IntentlyError as error:
                await self._refuse(request.request_id, error)
                return
        await self._slots.acquire()
        self._unwritten += 1
        if self._config.accumulate_context:
            request.context.extend(self._turns)
            if item.is_final or not item.utterance_id:
                self._turns.append(pb.Turn(role=pb.ROLE_USER, text=request.text))
        work = self._classify(self._classifier, request, self._deadline, self._config.accumulate_context)
        answer: asyncio.Future[Answer] = asyncio.ensure_future(work)
        self._in_flight[request.request_id] = answer
        self._queue(_Entry(request.request_id, request.request_id, answer))

    def _violations(self, item: pb.ClassifyItem) -> list[Violation]:
        request, violations = item.request, []
        if not request.request_id:
            violations.append(Violation("item.request.request_id", "is required on a stream"))
        if request.request_id in self._in_flight:
            violations.append(Violation("item.request.request_id", "is in flight on this stream already"))
        if self._config.accumulate_context and request.context:
            violations.append(Violation("item.request.context", "must be empty: this stream accumulates its context"))
        if item.sequence and not item.utterance_id:
            violations.append(Violation("item.sequence", "needs an utterance_id"))
        return violations

    async def _refuse(self, request_id: str, error: IntentlyError) -> None:
        """Answers with an error what did not become an item; it takes a place like one."""
        await self._slots.acquire()
        self._unwritten += 1
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.set_result(rich_status(error))
        self._queue(_Entry(request_id, "", answer))

    def _queue(self, entry: _Entry) -> None:
        """Lets the answer be written: in its turn if the stream is ordered, else as soon as it is there."""
        if self._config.ordered or self._config.accumulate_context or entry.answer.done():
            self._outbox.put_nowait(entry)
        else:
            entry.answer.add_done_callback(lambda _: self._outbox.put_nowait(entry))

    async def _announce_drain(self) -> None:
        await self._draining.wait()
        self._ending = True
        self._outbox.put_nowait(
            pb.DrainNotice(reason=pb.DRAIN_REASON_SHUTDOWN, grace=convert.duration(self._limits.drain_grace_s))
        )

    async def _write(self, write: Write, reader: "asyncio.Task[None]") -> None:
        """Writes until the stream is ending and nothing is in flight."""
        while True:
            entry = await self._outbox.get()
            if isinstance(entry, pb.DrainNotice):
                await write(pb.ClassifyStreamResponse(drain=entry))
            elif entry is not None:
                await asyncio.wait([entry.answer])
                await write(_message(entry))
                self._in_flight.pop(entry.request_id, None)
                self._unwritten -= 1
                self._slots.release()
            if self._ending and self._unwritten == 0:
                break
        if reader.done():
            reader.result()


def _message(entry: _Entry) -> pb.ClassifyStreamResponse:
    if entry.answer.cancelled():
        status = rich_status(ItemCancelled("taken back by the caller"))
        return pb.ClassifyStreamResponse(error=pb.ItemError(request_id=entry.shown_id, status=status))
    answer = entry.answer.result()
    if isinstance(answer, pb.ClassifyResponse):
        return pb.ClassifyStreamResponse(response=answer)
    return pb.ClassifyStreamResponse(error=pb.ItemError(request_id=entry.shown_id, status=answer))
