"""One ClassifyStream: items in, exactly one answer each out, never more in flight than was granted.

An item has its place from its reading until its answer has been written, so the outgoing queue is bounded by the grant,
and a caller that reads nothing is soon read from no more.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from intently.v1 import intent_service_pb2 as pb
from intently_server.classifier import Classifier
from intently_server.errors import Draining, IntentlyError, InvalidInput, ItemCancelled, Superseded, Unavailable
from intently_server.lifecycle import Lifecycle
from intently_server.servicer import convert
from intently_server.servicer.stream.ages import StreamAge, StreamAges
from intently_server.servicer.stream.checks import check_config, check_item
from intently_server.servicer.stream.conversation import Conversation
from intently_server.servicer.stream.in_flight import InFlight
from intently_server.servicer.stream.item import Classify, Item
from intently_server.servicer.stream.opening import Messages, first_config
from intently_server.servicer.stream.outbox import Outbox
from intently_server.types import Stages

Write = Callable[[pb.ClassifyStreamResponse], Awaitable[None]]
Refused = Callable[[Stages, IntentlyError], None]

_JITTER = 0.1  # of the greatest age: streams that were opened together do not end together
_WORKING_SHARE = 0.9  # of the grace; the rest is for saying of what is in flight that it was not finished


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds of one stream: items in flight, turns of accumulated context; seconds to its begin, its age, its grace."""

    max_in_flight: int
    max_context_turns: int
    begin_s: float
    max_age_s: float
    grace_s: float

    def jittered_age_s(self) -> float:
        """An age at which one stream is told to end."""
        return self.max_age_s * random.uniform(1 - _JITTER, 1)


async def serve_stream(
    messages: Messages,
    write: Write,
    classify: Classify,
    refused: Refused,
    classifier: Classifier,
    limits: StreamLimits,
    lifecycle: Lifecycle,
    ages: StreamAges,
) -> None:
    """Serves one stream from its beginning to its end.

    Args:
        messages: What the caller sends; an InvalidInput stands for a message that could not be decoded.
        write: Sends to the caller; returns once there is room for more.
        classify: Answers one request, or says by a status why not; fills in the stages; its last argument lets it leave
            out the oldest turns of the context to make the prompt fit.
        refused: Told of each message that the stream refuses without asking `classify`.
        classifier: Who answers.
        limits: Bounds.
        lifecycle: Says when the server takes nothing new, and why.
        ages: Says when the stream is old.

    Raises:
        IntentlyError: if the beginning is wrong. Nothing that comes later ends a stream early.
    """
    with ages.stream(limits.jittered_age_s()) as age:
        config = await first_config(messages, lifecycle, limits.begin_s)
        check_config(config, classifier.validator, limits.max_context_turns)
        session = StreamSession(config, classify, refused, classifier, limits, lifecycle)
        await session.run(messages, write, age)


class StreamSession:
    """A stream whose configuration was accepted. Arguments are those of `serve_stream`."""

    def __init__(
        self,
        config: pb.StreamConfig,
        classify: Classify,
        refused: Refused,
        classifier: Classifier,
        limits: StreamLimits,
        lifecycle: Lifecycle,
    ) -> None:
        self._classify = classify
        self._refused = refused
        self._validator = classifier.validator
        self._limits = limits
        self._lifecycle = lifecycle
        self._ready = pb.StreamReady(
            max_in_flight=min(config.max_in_flight or limits.max_in_flight, limits.max_in_flight),
            model=convert.model_info(classifier.model),
        )
        self._places = asyncio.Semaphore(self._ready.max_in_flight)
        self._accumulates = config.accumulate_context
        self._conversation = Conversation(limits.max_context_turns, classifier.latest_possible, config.initial_context)
        self._outbox = Outbox(ordered=config.ordered or config.accumulate_context)
        self._in_flight = InFlight()
        self._owed = 0  # messages read whose answers are not written
        self._all_read = False
        self._ended: Unavailable | None = None  # why nothing new is taken

    async def run(self, messages: Messages, write: Write, age: StreamAge) -> None:
        """Serves the stream to its end; tells the caller to open another once it is old."""
        await write(pb.ClassifyStreamResponse(ready=self._ready))
        writing, reading = asyncio.create_task(self._write(write)), asyncio.create_task(self._read(messages))
        ending = asyncio.create_task(self._end(age))
        try:
            await writing
            if reading.done():
                reading.result()
        finally:
            tasks: list[asyncio.Future[Any]] = [writing, reading, ending, *(item.answer for item in self._in_flight)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, messages: Messages) -> None:
        try:
            async for message in messages:
                await self._take(message)
        finally:
            self._all_read = True
            self._finish_if_done()

    async def _take(self, message: pb.ClassifyStreamRequest | InvalidInput) -> None:
        if isinstance(message, InvalidInput):
            await self._refuse("", message)
            return
        match message.WhichOneof("message"):
            case "item":
                await self._take_item(message.item)
            case "cancel":
                self._in_flight.withdraw(message.cancel.request_id, ItemCancelled("taken back by the caller"))
            case "reset_context":
                self._conversation.forget()
            case "config":
                await self._refuse("", InvalidInput.of("config", "only the first message may be a StreamConfig"))
            case _:
                await self._refuse("", InvalidInput.of("message", "is none that this server knows"))

    async def _take_item(self, item: pb.ClassifyItem) -> None:
        order = self._replace(item) if item.utterance_id and self._places.locked() else None
        await self._take_place()
        try:
            self._check(item)
        except IntentlyError as error:
            self._put_refused(item.request.request_id, error)
            return
        self._outbox.put(self._start(item, order))

    def _replace(self, item: pb.ClassifyItem) -> int | None:
        """Withdraws what a revision replaces before it waits for a place, which may be that of what it replaces.

        Returns the place in the queue of one that waited there.
        """
        with contextlib.suppress(IntentlyError):
            self._check(item)
            return self._supersede(item)
        return None

    def _supersede(self, item: pb.ClassifyItem) -> int | None:
        if not item.utterance_id:
            return None
        why = Superseded(f"revision {item.sequence} of this utterance has replaced it")
        return self._in_flight.supersede(item.utterance_id, why)

    def _check(self, item: pb.ClassifyItem) -> None:
        """Raises the IntentlyError for an item that cannot be taken."""
        if self._ended is not None:
            raise self._ended
        check_item(item, self._validator, in_flight=self._in_flight, accumulates=self._accumulates)
        newest = self._in_flight.newest_sequence(item.utterance_id)
        if newest is not None and item.sequence <= newest:
            raise Superseded(f"revision {newest} of this utterance came before revision {item.sequence}")

    def _start(self, message: pb.ClassifyItem, order: int | None) -> Item:
        request, stages = message.request, Stages(time.monotonic())
        replaced = self._supersede(message)
        stages.place_in_queue = order if replaced is None else replaced
        if self._accumulates:
            request.context.extend(self._conversation.turns())
        answer = asyncio.ensure_future(self._classify(request, stages, self._accumulates))
        item = Item(request.request_id, answer, stages, message.utterance_id, message.sequence)
        if self._accumulates and (message.is_final or not message.utterance_id):
            self._conversation.add(request.text, item)
        self._in_flight.add(item)
        return item

    async def _refuse(self, request_id: str, error: IntentlyError) -> None:
        """Answers with an error what is no item; it takes a place like one."""
        await self._take_place()
        self._put_refused(request_id, error)

    def _put_refused(self, request_id: str, error: IntentlyError) -> None:
        stages = Stages(time.monotonic())
        self._refused(stages, error)
        self._outbox.put(Item.refused(request_id, error, stages))

    async def _take_place(self) -> None:
        """Waits for a place among those granted. It counts from now on: the stream does not end before its answer."""
        self._owed += 1
        await self._places.acquire()

    async def _end(self, age: StreamAge) -> None:
        """Ends the stream in order: when the server drains, or when the stream is old.

        What is in flight has the grace to finish; what has not by then is answered with why. A caller that does not
        read its answers keeps the stream open, at the cost of as many answers as it was granted: gRPC has no way to end
        a call while a message of it is being written, but to stop the server.
        """
        notice = await self._reason_to_end(age)
        grace_s = notice.grace.ToNanoseconds() / 1e9
        self._outbox.announce(notice)
        self._finish_if_done()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s * _WORKING_SHARE):
                await self._lifecycle.hurried.wait()
        if self._ended is not None:
            self._in_flight.withdraw_all(self._ended)

    async def _reason_to_end(self, age: StreamAge) -> pb.DrainNotice:
        if await age.reached(unless=self._lifecycle.draining):
            self._ended = Draining("this stream has reached its greatest age; open another")
            return pb.DrainNotice(reason=pb.DRAIN_REASON_MAX_AGE, grace=convert.duration(self._limits.grace_s))
        self._ended = self._lifecycle.refusal()
        return pb.DrainNotice(reason=pb.DRAIN_REASON_SHUTDOWN, grace=convert.duration(self._lifecycle.grace_s))

    def _finish_if_done(self) -> None:
        if self._owed == 0 and (self._all_read or self._ended is not None):
            self._outbox.finish()

    async def _write(self, write: Write) -> None:
        """Writes until the stream is ending and nothing is owed."""
        while (next_ := await self._outbox.take()) is not None:
            if isinstance(next_, pb.DrainNotice):
                await write(pb.ClassifyStreamResponse(drain=next_))
                continue
            self._in_flight.remove(next_)  # before its caller knows, who may then use the id again at once
            await write(next_.message())
            self._owed -= 1
            self._places.release()
            self._finish_if_done()
