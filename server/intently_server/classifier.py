"""One classification from end to end: validate, admit, tokenize, infer, decide."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from intently_server.admission import Admission, Place
from intently_server.calibration import decide
from intently_server.engine.base import Engine
from intently_server.model import Model
from intently_server.prompt import EncodedPrompt, PromptEncoder
from intently_server.types import Caller, Classification, Query, Stages
from intently_server.validation import QueryValidator

_INLINE_CHARS = 2_000  # tokenized in a millisecond or two
_LONG_THREADS, _SHORT_THREADS = 2, 1  # for long texts, and for short ones that come many at once: never behind those


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
        self._inline = _InlineBudget(_INLINE_CHARS)
        self._long = admission.threads(_LONG_THREADS, "tokenize-long")
        self._short = admission.threads(_SHORT_THREADS, "tokenize-short")

    def latest_possible(self, texts: Sequence[str]) -> int:
        """See `PromptEncoder.latest_possible`."""
        return self._encoder.latest_possible(texts)

    async def classify(self, query: Query, caller: Caller, stages: Stages) -> Classification:
        """Returns the intent of one utterance. Cancelling the call aborts the work inside the engine.

        Args:
            query: What to classify.
            caller: Who asks, and until when.
            stages: Filled in as the request goes on; `arrived` is there already, in the clock's seconds.

        Raises:
            IntentlyError: see errors.py.
        """
        self.validator.check(query)
        with self._admission.enter(caller) as place:
            stages.admitted = self._clock()
            prompt = await self._encode(query, place)
            stages.encoded = self._clock()
            await place.turn(len(prompt.token_ids) - self._encoder.prefix_tokens, stages)
            stages.started = self._clock()
            output = await self._engine.classify(prompt.token_ids)
            stages.inferred = self._clock()
        decision = decide(
            output.logits,
            self.model.intents,
            self.model.calibration,
            candidates=[self._rows[name] for name in query.candidate_intents],
            top_k=self._default_top_k if query.top_k is None else query.top_k,
            min_confidence=query.min_confidence or 0.0,
        )
        stages.decided = self._clock()
        return Classification(
            decision=decision,
            input_tokens=len(prompt.token_ids),
            cached_tokens=output.cached_tokens,
            truncated=prompt.truncated,
            timing=stages.timing,
        )

    async def _encode(self, query: Query, place: Place) -> EncodedPrompt:
        chars = len(query.text) + sum(len(turn.text) for turn in query.context)
        if self._inline.spend(chars):
            return self._encoder.encode_query(query)
        if chars > _INLINE_CHARS:
            chars = self._encoder.work(query)
        threads = self._long if chars > _INLINE_CHARS else self._short
        return await threads.run(place, chars, partial(self._encoder.encode_query, query))


class _InlineBudget:
    """How much may be tokenized on the event loop itself in one of its passes, so that it never stands still.

    Short text is tokenized in microseconds, less than a thread costs; but a batch, or many calls that come at once, are
    all run in one pass.
    """

    def __init__(self, chars: int) -> None:
        self._chars = chars
        self._left = chars

    def spend(self, chars: int) -> bool:
        """Takes so much from what is left of this pass; False if there is not so much."""
        if chars > self._left:
            return False
        if self._left == self._chars:
            asyncio.get_running_loop().call_soon(self._renew)
        self._left -= chars
        return True

    def _renew(self) -> None:
        self._left = self._chars
