"""One classification from end to end: validate, admit, tokenize, infer, decide."""

import asyncio
import time
from collections.abc import Callable

from intently_server.admission import Admission
from intently_server.calibration import decide
from intently_server.engine.base import Engine
from intently_server.errors import DeadlineUnmeetable
from intently_server.model import Model
from intently_server.prompt import EncodedPrompt, PromptEncoder
from intently_server.types import Classification, Query, Timing
from intently_server.validation import QueryValidator

_INLINE_CHARS = 2_000  # tokenized on the event loop in well under a millisecond; more goes to a thread


class Classifier:
    """Answers queries with one model.

    Args:
        model: What answers mean.
        validator: Refuses what is wrong with a query.
        admission: Bounds what is in flight.
        encoder: Lays out prompts.
        engine: Computes logits.
        default_top_k: Predictions returned when the query does not say.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        model: Model,
        validator: QueryValidator,
        admission: Admission,
        encoder: PromptEncoder,
        engine: Engine,
        default_top_k: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = model
        self.validator = validator
        self._admission = admission
        self._encoder = encoder
        self._engine = engine
        self._default_top_k = default_top_k
        self._rows = {name: row for row, name in enumerate(model.intents)}
        self._clock = clock

    async def classify(self, query: Query, arrived: float, deadline: float | None = None) -> Classification:
        """Returns the intent of one utterance. Cancelling the call aborts the work inside the engine.

        Args:
            query: What to classify.
            arrived: When the request came, in the clock's seconds.
            deadline: When the caller gives up, in the clock's seconds; None for never.

        Raises:
            IntentlyError: see errors.py.
        """
        self.validator.check(query)
        if deadline is not None and deadline <= self._clock():
            raise DeadlineUnmeetable("the deadline had passed before the work began")
        with self._admission.admit():
            begun = self._clock()
            prompt = await self._encode(query)
            encoded = self._clock()
            output = await self._engine.classify(prompt.token_ids)
            inferred = self._clock()
        decision = decide(
            output.logits,
            self.model.intents,
            self.model.calibration,
            candidates=[self._rows[name] for name in query.candidate_intents],
            top_k=self._default_top_k if query.top_k is None else query.top_k,
            min_confidence=query.min_confidence or 0.0,
        )
        return Classification(
            decision=decision,
            input_tokens=len(prompt.token_ids),
            cached_tokens=output.cached_tokens,
            truncated=prompt.truncated,
            timing=Timing(begun - arrived, encoded - begun, inferred - encoded),
        )

    async def _encode(self, query: Query) -> EncodedPrompt:
        chars = len(query.text) + sum(len(turn.text) for turn in query.context)
        if chars <= _INLINE_CHARS:
            return self._encoder.encode_query(query)
        return await asyncio.to_thread(self._encoder.encode_query, query)
