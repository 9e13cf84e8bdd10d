"""`client.stream()`: utterances in, answers out, over as many ClassifyStream calls as it takes."""

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypedDict, Unpack

import grpc

from intently.answers import Classification, Turn
from intently.errors import CancelledItemError, DeadlineExceededError, IntentlyError
from intently.streaming.changes import Changes
from intently.streaming.connection import Connection, Opening
from intently.streaming.item import Item, Result
from intently.streaming.ledger import Ledger
from intently.v1 import intent_service_pb2 as pb

_GOODBYE_S = 1.0  # for a server to end its side of a stream on which all was answered


class ItemOptions(TypedDict, total=False):
    """What else may be said of an item.

    Attributes:
        context: The turns before it, oldest first; not where the stream accumulates them.
        candidate_intents: The only intents that make sense here; empty for all.
        top_k: Predictions to return at most.
        min_confidence: Predictions below it are left out, 0 to 1.
        allow_truncation: Whether too long an input may be cut.
        language_code: BCP-47, a hint for monitoring.
    """

    context: Sequence[Turn]
    candidate_intents: Sequence[str]
    top_k: int
    min_confidence: float
    allow_truncation: bool
    language_code: str


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The one answer to one item: what was decided, or why there is nothing."""

    request_id: str
    result: Result


class ClassifyStream:
    """A stream of utterances. Made by `IntentClient.stream`; use it as an async context manager.

    It outlives the calls that carry it: when a server drains, ends a stream for its age, dies or restarts, or the
    connection is lost, another call is opened, what was not answered is sent again, and an accumulated context is
    replayed. Each item's answer is handed on exactly once.

    `send` and iteration belong together: iteration gives the answers to what was sent, as they come (or in the order
    of sending, if the stream is ordered). `classify` sends and waits for its own answer, which iteration never shows;
    any number of tasks may do so at once. The server grants how many items may be under way. One is under way until
    its answer has been taken, and whoever sends more waits.

    The stream ends by `done`, by `close`, or because a server says that it can never serve it.
    """

    def __init__(self, opening: Opening, ledger: Ledger, timeout_s: float, open_timeout_s: float) -> None:
        self._opening = opening
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._open_timeout_s = open_timeout_s
        self._changes = Changes()
        self._entry = asyncio.Lock()  # those who wait for room are let in one by one, in their order
        self._answers: deque[Item] = deque()  # not taken yet
        self._callers: dict[Item, asyncio.Future[Result]] = {}  # who wait in `classify`
        self._deadlines: dict[Item, asyncio.TimerHandle] = {}
        self._prefix, self._count = uuid.uuid4().hex[:12], 0
        self._running: asyncio.Task[None] | None = None
        self._done = False
        self._closed = False

    async def __aenter__(self) -> "ClassifyStream":
        """Opens the stream.

        Raises:
            IntentlyError: if no server opens it in time, or it can never be opened.
        """
        self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._open_timeout_s):
                while not self._ledger.connected and self._ledger.failure is None:
                    await self._changes.wait()
        except TimeoutError:
            no_answer = DeadlineExceededError(grpc.StatusCode.DEADLINE_EXCEEDED, "no server opened the stream in time")
            self._ledger.fail(self._ledger.setback or no_answer)
        except BaseException:
            await self.close()
            raise
        if self._ledger.failure is not None:
            await self.close()
            raise self._ledger.failure
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(
        self,
        text: str,
        *,
        request_id: str | None = None,
        utterance_id: str = "",
        sequence: int = 0,
        is_final: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[ItemOptions],
    ) -> str:
        """Sends an item, once there is room for it. Its answer comes by iteration.

        Args:
            text: The utterance.
            request_id: Names the item among those under way; None for a name of the stream's own.
            utterance_id: For speech and typing: the utterance that this is a revision of.
            sequence: The number of the revision. A newer one takes the place of one that was not begun.
            is_final: Whether the utterance is complete. Without `utterance_id` it always is.
            timeout_s: Seconds until the item is answered, if only with an error; they count from when there is room.
            options: See `ItemOptions`.

        Returns:
            The item's request id.

        Raises:
            ValueError: if the id is that of an item under way, or the stream was done.
            IntentlyError: if the stream has ended.
        """
        request = self._request(text, request_id, options)
        item = pb.ClassifyItem(request=request, utterance_id=utterance_id, sequence=sequence, is_final=is_final)
        return (await self._send(item, timeout_s)).request_id

    async def classify(
        self, text: str, *, timeout_s: float | None = None, **options: Unpack[ItemOptions]
    ) -> Classification:
        """Sends an item, as `send` does, and returns its answer.

        Raises:
            IntentlyError: if there is none.
        """
        caller: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        item = await self._send(pb.ClassifyItem(request=self._request(text, None, options)), timeout_s, caller)
        try:
            result = await caller
        except asyncio.CancelledError:
            await self.cancel(item.request_id)
            raise
        if isinstance(result, IntentlyError):
            raise result
        return result

    def __aiter__(self) -> "ClassifyStream":
        return self

    async def __anext__(self) -> StreamAnswer:
        """The next answer to what was sent.

        Raises:
            StopAsyncIteration: after `done`, once all is answered; or after `close`.
            IntentlyError: what ended the stream, after the last answer.
        """
        while not self._answers:
            if self._closed or (self._done and self._ledger.finished and self._ledger.failure is None):
                raise StopAsyncIteration
            if self._ledger.failure is not None:
                raise self._ledger.failure
            await self._changes.wait()
        item = self._answers.popleft()
        self._ledger.taken(item)
        self._changes.notify()
        assert item.result is not None  # noqa: S101  # only what is settled is handed out
        return StreamAnswer(item.request_id, item.result)

    async def cancel(self, request_id: str) -> None:
        """Takes an item back. It still gets its one answer: a CancelledItemError, or the result if that was first."""
        self._ledger.cancel(request_id)
        self._changed()

    async def reset_context(self) -> None:
        """Forgets the accumulated context: items sent from now on start from none."""
        self._ledger.reset_context()

    async def done(self) -> None:
        """Nothing more will be sent. Iteration ends when all is answered."""
        self._done = True
        self._ledger.finish()
        self._changed()

    async def close(self) -> None:
        """Ends the stream at once; who waits in `classify` gets a CancelledItemError."""
        in_order = self._ledger.finished and self._ledger.failure is None
        self._closed = True
        self._ledger.fail(CancelledItemError(grpc.StatusCode.CANCELLED, "the stream was closed by its caller"))
        self._changed()
        if self._running is None:
            return
        if in_order:
            await asyncio.wait([self._running], timeout=_GOODBYE_S)
        self._running.cancel()
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.result()

    async def _send(
        self, message: pb.ClassifyItem, timeout_s: float | None, caller: "asyncio.Future[Result] | None" = None
    ) -> Item:
        async with self._entry:
            while not self._ledger.has_room and not self._over:
                await self._changes.wait()
            if self._ledger.failure is not None:
                raise self._ledger.failure
            if self._over:
                raise ValueError("the stream was done: it takes no more items")
            loop = asyncio.get_running_loop()
            deadline = loop.time() + (self._timeout_s if timeout_s is None else timeout_s)
            item = self._ledger.accept(message, deadline)
        if caller is not None:
            self._callers[item] = caller
        self._deadlines[item] = loop.call_at(deadline, self._expire, item)
        self._changed()
        return item

    @property
    def _over(self) -> bool:
        return self._done or self._closed or self._ledger.failure is not None

    def _request(self, text: str, request_id: str | None, options: ItemOptions) -> pb.ClassifyRequest:
        self._count += 1
        request = pb.ClassifyRequest(
            request_id=f"{self._prefix}-{self._count}" if request_id is None else request_id,
            text=text,
            context=[turn.to_message() for turn in options.get("context", ())],
            candidate_intents=options.get("candidate_intents", ()),
            top_k=options.get("top_k"),
            min_confidence=options.get("min_confidence"),
            allow_truncation=options.get("allow_truncation", False),
            language_code=options.get("language_code", ""),
        )
        if not request.request_id:
            raise ValueError("an item needs a request_id")
        return request

    def _expire(self, item: Item) -> None:
        self._ledger.expire(item)
        self._changed()

    def _changed(self) -> None:
        """Hands out results, and wakes whoever may have something to do."""
        for item in self._ledger.results():
            self._deadlines.pop(item).cancel()
            caller = self._callers.pop(item, None)
            if caller is None:
                self._answers.append(item)
                continue
            self._ledger.taken(item)
            if not caller.done() and item.result is not None:
                caller.set_result(item.result)
        self._changes.notify()

    async def _run(self) -> None:
        """Opens links as they are wanted, until the stream is over."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.TaskGroup() as links:
                while not self._ledger.finished:
                    open_at = self._ledger.wants_link_at()
                    if open_at is None or open_at > now():
                        await self._changes.wait(None if open_at is None else open_at - now())
                        continue
                    connection = Connection(self._opening, self._ledger, self._changed, self._changes)
                    links.create_task(connection.run(self._ledger.open_link()))
        except Exception:
            self._ledger.fail(IntentlyError(grpc.StatusCode.INTERNAL, "a fault of the client library"))
            self._changed()
            raise
