"""`client.stream()`: utterances in, answers out, over as many ClassifyStream calls as it takes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypedDict, Unpack

import grpc

from intently.answers import Classification, Turn
from intently.errors import CancelledItemError, IntentlyError
from intently.streaming.driver import Driver
from intently.streaming.item import Result
from intently.v1 import intent_service_pb2 as pb


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
    any number of tasks may do so at once. The server grants how many items may be under way, until their answers have
    come (in their turn, if the stream is ordered), and whoever sends more waits. Answers that nobody takes are kept up
    to `max_untaken`; then `send` waits for somebody to iterate, and fails if nobody does.

    The stream ends by `done`, by `close`, or because a server says that it can never serve it.
    """

    def __init__(self, driver: Driver, timeout_s: float, open_timeout_s: float) -> None:
        self._driver = driver
        self._timeout_s = timeout_s
        self._open_timeout_s = open_timeout_s
        self._prefix, self._count = uuid.uuid4().hex[:12], 0

    async def __aenter__(self) -> "ClassifyStream":
        """Opens the stream.

        Raises:
            IntentlyError: if no server opens it in time, or it can never be opened.
        """
        try:
            await self._driver.open(self._open_timeout_s)
        except BaseException:
            await self.close()
            raise
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
            request_id: Names the item among those not taken; None for a name of the stream's own.
            utterance_id: For speech and typing: the utterance that this is a revision of.
            sequence: The number of the revision. A newer one takes the place of one that was not begun.
            is_final: Whether the utterance is complete. Without `utterance_id` it always is.
            timeout_s: Seconds until the item is answered, if only with an error; they count from when there is room.
                Also how long to wait while `max_untaken` answers are there and none is taken.
            options: See `ItemOptions`.

        Returns:
            The item's request id.

        Raises:
            ValueError: if the id is that of an item whose answer has not been taken, or the stream was done.
            IntentlyError: if the stream has ended, or answers are not being taken.
        """
        request = self._request(text, request_id, options)
        item = pb.ClassifyItem(request=request, utterance_id=utterance_id, sequence=sequence, is_final=is_final)
        return (await self._driver.send(item, self._timeout(timeout_s))).request_id

    async def classify(
        self, text: str, *, timeout_s: float | None = None, **options: Unpack[ItemOptions]
    ) -> Classification:
        """Sends an item, as `send` does, and returns its answer.

        Raises:
            IntentlyError: if there is none.
        """
        message = pb.ClassifyItem(request=self._request(text, None, options))
        result = await self._driver.classify(message, self._timeout(timeout_s))
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
        item = await self._driver.next()
        if item is None:
            raise StopAsyncIteration
        assert item.result is not None  # noqa: S101  # only what is settled is handed out
        return StreamAnswer(item.request_id, item.result)

    async def cancel(self, request_id: str) -> None:
        """Takes an item back. It still gets its one answer: a CancelledItemError, or the result if that was first."""
        self._driver.cancel(request_id)

    async def reset_context(self) -> None:
        """Forgets the accumulated context: items sent from now on start from none."""
        self._driver.reset_context()

    async def done(self) -> None:
        """Nothing more will be sent. Iteration ends when all is answered."""
        self._driver.done()

    async def close(self) -> None:
        """Ends the stream at once; who waits in `classify` gets a CancelledItemError."""
        closed = CancelledItemError(grpc.StatusCode.CANCELLED, "the stream was closed by its caller")
        await self._driver.close(closed)

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

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
