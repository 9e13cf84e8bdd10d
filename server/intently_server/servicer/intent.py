"""IntentService: unary, batch and stream."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from intently.v1 import intent_service_pb2 as pb
from intently_server.classifier import Classifier
from intently_server.errors import IntentlyError, InternalFault, InvalidInput
from intently_server.lifecycle import Lifecycle
from intently_server.servicer import convert
from intently_server.servicer.status import rich_status
from intently_server.servicer.stream import Answer, StreamLimits, StreamSession

logger = logging.getLogger(__name__)

Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


class IntentServicer:
    """Answers IntentService.

    Args:
        lifecycle: Says who answers now.
        max_batch_size: Requests in one batch at most.
        stream_limits: Bounds of a stream.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        max_batch_size: int,
        stream_limits: StreamLimits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifecycle = lifecycle
        self._max_batch_size = max_batch_size
        self._stream_limits = stream_limits
        self._clock = clock

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:  # noqa: N802
        """Classifies one utterance."""
        arrived = self._clock()
        return await self._answer(self._lifecycle.classifier(), request, arrived, self._deadline(context))

    async def BatchClassify(  # noqa: N802
        self, request: pb.BatchClassifyRequest, context: Context
    ) -> pb.BatchClassifyResponse:
        """Classifies several utterances; the fault of one never fails the rest."""
        arrived, size, limit = self._clock(), len(request.requests), self._max_batch_size
        if not 1 <= size <= limit:
            raise InvalidInput.of("requests", f"has {size} requests; a batch takes 1 to {limit}")
        classifier, deadline = self._lifecycle.classifier(), self._deadline(context)
        return pb.BatchClassifyResponse(
            results=await asyncio.gather(
                *(self._result(classifier, each, arrived, deadline) for each in request.requests)
            )
        )

    async def ClassifyStream(  # noqa: N802
        self, messages: AsyncIterator[pb.ClassifyStreamRequest | InvalidInput], context: Context
    ) -> None:
        """Classifies utterances as they come."""
        classifier, deadline = self._lifecycle.classifier(), self._deadline(context)

        def classify(request: pb.ClassifyRequest, trim_context: bool) -> Awaitable[Answer]:
            return self._answer_or_status(classifier, request, self._clock(), deadline, trim_context)

        await StreamSession(classify, classifier, self._stream_limits, self._lifecycle).run(messages, context.write)

    async def _answer(
        self,
        classifier: Classifier,
        request: pb.ClassifyRequest,
        arrived: float,
        deadline: float | None,
        trim_context: bool = False,
    ) -> pb.ClassifyResponse:
        classifier.validator.check_counts(len(request.context), len(request.candidate_intents))
        query = convert.query(request, trim_context=trim_context)
        classification = await classifier.classify(query, arrived, deadline)
        return convert.response(request.request_id, classification, classifier.model)

    async def _answer_or_status(
        self,
        classifier: Classifier,
        request: pb.ClassifyRequest,
        arrived: float,
        deadline: float | None,
        trim_context: bool = False,
    ) -> Answer:
        """The answer, or the status that says why there is none: what one of several gets."""
        try:
            return await self._answer(classifier, request, arrived, deadline, trim_context)
        except IntentlyError as error:
            return rich_status(error)
        except Exception:
            logger.exception("one of several requests failed")
            return rich_status(InternalFault())

    async def _result(
        self, classifier: Classifier, request: pb.ClassifyRequest, arrived: float, deadline: float | None
    ) -> pb.BatchClassifyResult:
        answer = await self._answer_or_status(classifier, request, arrived, deadline)
        if isinstance(answer, pb.ClassifyResponse):
            return pb.BatchClassifyResult(response=answer)
        return pb.BatchClassifyResult(error=answer)

    def _deadline(self, context: Context) -> float | None:
        remaining = context.time_remaining()
        return None if remaining is None else self._clock() + float(remaining)
