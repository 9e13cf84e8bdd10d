"""The asyncio client: one channel, deadlines by default, retries where they are safe, typed answers and errors."""

import asyncio
import weakref
from collections.abc import Sequence
from types import TracebackType

from intently.answers import Classification, Priority, Turn
from intently.channel import DEFAULT_KEEPALIVE_S, Security, open_channel
from intently.errors import IntentlyError, client_closed, from_status
from intently.retry import Caller, RetryBudget
from intently.stream import ClassifyStream
from intently.streaming.backoff import Backoff
from intently.streaming.connection import Opening
from intently.streaming.conversation import MAX_TURNS
from intently.streaming.driver import Driver
from intently.streaming.ledger import Ledger
from intently.v1 import (
    bundle_pb2,
    intent_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from intently.v1 import intent_service_pb2 as pb

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_MAX_UNTAKEN = 10_000
PRIORITY_METADATA = "x-intently-priority"
REVISION_METADATA = "x-intently-revision"
_PAGE_SIZE = 1000

Metadata = tuple[tuple[str, str], ...]


class IntentClient:
    """Calls an Intently server. Use it as an async context manager, one for the life of the program.

    Every method is free of side effects, and every call has a deadline. Within it, a call that finds nobody is tried
    again a few times, one that a full server refused comes again when the server said, and one that gRPC there has
    cancelled before anybody began it twice at most; all within a budget, so that retries never make an overload worse.

    Args:
        address: HOST:PORT, or any target that gRPC resolves.
        security: TLS, a certificate, a token; by default none of them.
        timeout_s: Deadline of each call, in seconds, where the call gives none.
        priority: Of each call, where the call gives none; None leaves it to the server.
        hedge_after_s: After so many seconds without an answer, `classify` asks a second time; the first good answer
            wins, and the other call is cancelled. Within the budget for retries. None for never.
        keepalive_s: Seconds of silence after which the server is asked for a sign of life. A connection without one
            for half as long again is given up.

    Every method raises an `IntentlyError` for a call that fails.

    Raises:
        ValueError: if `security` would send a token in plain text to another machine.
    """

    def __init__(
        self,
        address: str,
        *,
        security: Security | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        priority: Priority | None = None,
        hedge_after_s: float | None = None,
        keepalive_s: float = DEFAULT_KEEPALIVE_S,
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._priority = priority
        self._hedge_after_s = hedge_after_s
        self._security = security or Security(tls=False)
        self._budget = RetryBudget()
        self._caller = Caller(self._budget)
        self._channel = open_channel(address, self._security, keepalive_s=keepalive_s)
        self._intents = intent_service_pb2_grpc.IntentServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._streams: weakref.WeakSet[Driver] = weakref.WeakSet()

    async def __aenter__(self) -> "IntentClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel and all streams; what is under way, and whatever comes later, gets an UnavailableError."""
        await asyncio.gather(*(stream.close(client_closed()) for stream in self._streams))
        await self._channel.close()

    def _timeout(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    def _metadata(self, priority: Priority | None = None, revision: str | None = None) -> Metadata:
        claimed = priority or self._priority
        return (
            *self._security.metadata,
            *(() if claimed is None else ((PRIORITY_METADATA, claimed.value),)),
            *(() if revision is None else ((REVISION_METADATA, revision),)),
        )

    async def classify(
        self,
        text: str,
        *,
        context: Sequence[Turn] = (),
        candidate_intents: Sequence[str] = (),
        top_k: int | None = None,
        min_confidence: float | None = None,
        allow_truncation: bool = False,
        language_code: str = "",
        revision: str | None = None,
        label: str | None = None,
        request_id: str = "",
        priority: Priority | None = None,
        timeout_s: float | None = None,
    ) -> Classification:
        """Returns the intent of one utterance.

        Args:
            text: The utterance.
            context: The turns before it, oldest first.
            candidate_intents: The only intents that make sense here; empty for all.
            top_k: Predictions to return at most; None leaves it to the server.
            min_confidence: Predictions below it are left out, 0 to 1.
            allow_truncation: Whether too long an input may be cut.
            language_code: BCP-47, a hint for monitoring.
            revision: The model's revision that must answer.
            label: The label of the model that must answer; not together with `revision`.
            request_id: Echoed in the answer.
            priority: Of this call.
            timeout_s: Deadline of this call, in seconds.

        Raises:
            ValueError: if both `revision` and `label` are given.
            IntentlyError: if the call fails.
        """
        request = pb.ClassifyRequest(
            request_id=request_id,
            text=text,
            context=[turn.to_message() for turn in context],
            language_code=language_code,
            candidate_intents=candidate_intents,
            top_k=top_k,
            min_confidence=min_confidence,
            allow_truncation=allow_truncation,
            model=selector(revision, label),
        )
        metadata = self._metadata(priority, revision)
        response = await self._caller.call(
            lambda left_s: self._intents.Classify(request, timeout=left_s, metadata=metadata),
            self._timeout(timeout_s),
            self._hedge_after_s,
        )
        return Classification.from_message(response)

    async def classify_batch(
        self,
        requests: Sequence[str | pb.ClassifyRequest],
        *,
        priority: Priority | None = None,
        timeout_s: float | None = None,
    ) -> list[Classification | IntentlyError]:
        """Classifies several utterances in one call.

        Args:
            requests: Texts, or whole requests where more than the text matters.
            priority: Of the call.
            timeout_s: Deadline of the call, in seconds.

        Returns:
            For each request, in order, its answer, or the error that it alone met.

        Raises:
            IntentlyError: if the call failed, or all of its requests by a fault of the server.
        """
        batch = pb.BatchClassifyRequest(
            requests=[pb.ClassifyRequest(text=each) if isinstance(each, str) else each for each in requests]
        )
        metadata = self._metadata(priority, _common_revision(batch.requests))
        response = await self._caller.call(
            lambda left_s: self._intents.BatchClassify(batch, timeout=left_s, metadata=metadata),
            self._timeout(timeout_s),
        )
        return [
            from_status(result.error) if result.HasField("error") else Classification.from_message(result.response)
            for result in response.results
        ]

    def stream(
        self,
        *,
        ordered: bool = False,
        accumulate_context: bool = False,
        initial_context: Sequence[Turn] = (),
        max_in_flight: int = 0,
        max_untaken: int = DEFAULT_MAX_UNTAKEN,
        revision: str | None = None,
        label: str | None = None,
        priority: Priority | None = None,
        timeout_s: float | None = None,
        open_timeout_s: float | None = None,
    ) -> ClassifyStream:
        """A stream of utterances, which outlives drains, restarts and lost connections; see `ClassifyStream`.

        Args:
            ordered: Whether answers come in the order of the items, rather than as they are ready.
            accumulate_context: Whether each final item becomes, with its text, a user turn of the context of those
                that follow. Answers are in order then, and each final item is sent when the one before it was
                answered: for more per second, have more streams.
            initial_context: The context to begin with, where it is accumulated.
            max_in_flight: Items to have under way at most; 0 for what the server grants by itself.
            max_untaken: Answers to what was sent that are kept while nobody iterates; then `send` waits.
            revision: The model's revision that must answer all items.
            label: The label of the model that must answer; not together with `revision`.
            priority: Of all items.
            timeout_s: Seconds until an item is answered, if only with an error.
            open_timeout_s: Seconds in which a server must open the stream at first; by default `timeout_s`.

        Raises:
            ValueError: if both `revision` and `label` are given, or a context is given and not accumulated, or no
                answer could be kept.
        """
        if max_untaken < 1:
            raise ValueError("max_untaken must be 1 or more")
        if initial_context and not accumulate_context:
            raise ValueError("initial_context needs accumulate_context")
        metadata = self._metadata(priority, revision)
        config = pb.StreamConfig(
            model=selector(revision, label),
            max_in_flight=max_in_flight,
            ordered=ordered,
            accumulate_context=accumulate_context,
        )
        opening = Opening(lambda: self._intents.ClassifyStream(metadata=metadata), config, self._context_turns)
        ledger = Ledger(
            ordered=ordered,
            accumulate=accumulate_context,
            initial_context=initial_context,
            budget=self._budget,
            backoff=Backoff(),
            max_untaken=max_untaken,
        )
        driver, item_s = Driver(opening, ledger), self._timeout(timeout_s)
        self._streams.add(driver)
        return ClassifyStream(driver, item_s, item_s if open_timeout_s is None else open_timeout_s)

    async def _context_turns(self) -> int:
        """How many turns of context the server keeps; as many as the client does where it does not tell."""
        try:
            models = await self.list_models()
        except IntentlyError:
            return MAX_TURNS
        return min((model.limits.max_context_turns for model in models), default=MAX_TURNS)

    async def list_models(self, *, timeout_s: float | None = None) -> list[model_service_pb2.Model]:
        """The models served there, by name."""
        models: list[model_service_pb2.Model] = []
        more = model_service_pb2.ListModelsRequest(page_size=_PAGE_SIZE)
        while True:
            page = await self._caller.call(
                lambda left_s: self._models.ListModels(more, timeout=left_s, metadata=self._metadata()),
                self._timeout(timeout_s),
            )
            models += page.models
            if not page.next_page_token:
                return models
            more.page_token = page.next_page_token

    async def list_intents(self, model: str, *, timeout_s: float | None = None) -> list[bundle_pb2.Intent]:
        """All intents of a model, which is named as in `Model.name`: "models/" and the bundle's name."""
        intents: list[bundle_pb2.Intent] = []
        more = model_service_pb2.ListIntentsRequest(parent=model, page_size=_PAGE_SIZE)
        while True:
            page = await self._caller.call(
                lambda left_s: self._models.ListIntents(more, timeout=left_s, metadata=self._metadata()),
                self._timeout(timeout_s),
            )
            intents += page.intents
            if not page.next_page_token:
                return intents
            more.page_token = page.next_page_token


def _common_revision(requests: Sequence[pb.ClassifyRequest]) -> str | None:
    """The revision that all of them ask for; None where they do not agree on one."""
    revisions = {request.model.revision for request in requests}
    return (revisions.pop() or None) if len(revisions) == 1 else None


def selector(revision: str | None, label: str | None) -> pb.ModelSelector | None:
    """Which model must answer; None for any.

    Raises:
        ValueError: if both are given.
    """
    if revision is not None and label is not None:
        raise ValueError("select the model by revision or by label, not by both")
    return None if revision is None and label is None else pb.ModelSelector(revision=revision, label=label)
