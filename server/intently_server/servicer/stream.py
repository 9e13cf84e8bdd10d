"""One ClassifyStream: items in, exactly one answer each out, never more in flight than was granted.

An item is in flight from its reading until its answer has been written, so the outgoing queue is bounded by the grant,
and a caller that reads nothing is soon read from no more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.rpc import status_pb2

from intently.v1 import intent_service_pb2 as pb
from intently_server.classifier import Classifier
from intently_server.errors import IntentlyError, InvalidInput, ItemCancelled, Violation
from intently_server.lifecycle import Lifecycle
from intently_server.servicer import convert
from intently_server.servicer.status import rich_status
from intently_server.servicer.stream_opening import Messages, check_config, first_config

Answer: TypeAlias = pb.ClassifyResponse | status_pb2.Status
Classify = Callable[[pb.ClassifyRequest, bool], Awaitable[Answer]]
Write = Callable[[pb.ClassifyStreamResponse], Awaitable[None]]

_INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of one stream: items in flight, turns of accumulated context."""

    max_in_flight: int
    max_context_turns: int


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
        classifier: Who answers.
        limits: Bounds.
        lifecycle: Says when the server takes nothing new, and why.
    """

    def __init__(self, classify: Classify, classifier: Classifier, limits: StreamLimits, lifecycle: Lifecycle) -> None:
        self._classify = classify
        self._classifier = classifier
        self._limits = limits
        self._lifecycle = lifecycle
        self._in_flight: dict[str, asyncio.Future[Answer]] = {}
        self._unwritten = 0  # messages read that are still owed an answer
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
        config = self._config = await first_config(messages, self._lifecycle)
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
        await self._take_place()
        try:
            self._check(item)
        except IntentlyError as error:
            self._answer_at_once(request.request_id, error)
            return
        accumulates = self._config.accumulate_context
        if accumulates:
            request.context.extend(self._turns)
        answer: asyncio.Future[Answer] = asyncio.ensure_future(self._classify(request, accumulates))
        if accumulates and (item.is_final or not item.utterance_id):
            self._remember(request.text, answer)
        self._in_flight[request.request_id] = answer
        self._queue(_Entry(request.request_id, request.request_id, answer))

    def _check(self, item: pb.ClassifyItem) -> None:
        """Raises the IntentlyError for an item that cannot be taken."""
        if self._lifecycle.draining.is_set():
            raise self._lifecycle.refusal()
        request, violations = item.request, []
        if not request.request_id:
            violations.append(Violation("item.request.request_id", "is required on a stream"))
        if request.request_id in self._in_flight:
            violations.append(Violation("item.request.request_id", "is in flight on this stream already"))
        if self._config.accumulate_context and request.context:
            violations.append(Violation("item.request.context", "must be empty: this stream accumulates its context"))
        if item.sequence and not item.utterance_id:
            violations.append(Violation("item.sequence", "needs an utterance_id"))
        if item.sequence < 0:
            violations.append(Violation("item.sequence", "cannot be negative"))
        if violations:
            raise InvalidInput(violations)
        if self._config.accumulate_context:
            # What is refused must not become a turn, which would be refused with every later item.
            self._classifier.validator.check(convert.query(request))

    def _remember(self, text: str, answer: "asyncio.Future[Answer]") -> None:
        """Makes the text a turn of the context, until it turns out that it fits in no prompt."""
        turn = pb.Turn(role=pb.ROLE_USER, text=text)
        self._turns.append(turn)

        def forget_if_refused(done: "asyncio.Future[Answer]") -> None:
            result = None if done.cancelled() else done.result()
            if isinstance(result, status_pb2.Status) and result.code == _INVALID:
                self._turns = deque((each for each in self._turns if each is not turn), self._turns.maxlen)

        answer.add_done_callback(forget_if_refused)

    async def _refuse(self, request_id: str, error: IntentlyError) -> None:
        """Answers with an error what is no item; it takes a place like one."""
        await self._take_place()
        self._answer_at_once(request_id, error)

    async def _take_place(self) -> None:
        """Waits for a place among those granted. It counts from now on: the stream does not end before its answer."""
        self._unwritten += 1
        await self._slots.acquire()

    def _answer_at_once(self, request_id: str, error: IntentlyError) -> None:
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
        await self._lifecycle.draining.wait()
        self._ending = True
        grace = convert.duration(self._lifecycle.grace_s)
        self._outbox.put_nowait(pb.DrainNotice(reason=pb.DRAIN_REASON_SHUTDOWN, grace=grace))

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
