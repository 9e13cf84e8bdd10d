"""IntentService: unary, batch and stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable

from intently.v1 import intent_service_pb2 as pb
from intently_server.classifier import Classifier
from intently_server.errors import IntentlyError, InternalFault, InvalidInput
from intently_server.lifecycle import Lifecycle
from intently_server.servicer import convert
from intently_server.servicer.call import Call
from intently_server.servicer.status import rich_status
from intently_server.servicer.stream import Answer, StreamLimits, serve_stream
from intently_server.types import Caller, Stages

logger = logging.getLogger(__name__)


class IntentServicer:
    """Answers IntentService.

    Args:
        lifecycle: Says who answers now.
        max_batch_size: Requests in one batch at most.
        stream_limits: Bounds of a stream.
    """

    def __init__(self, lifecycle: Lifecycle, max_batch_size: int, stream_limits: StreamLimits) -> None:
        self._lifecycle = lifecycle
        self._max_batch_size = max_batch_size
        self._stream_limits = stream_limits

    async def Classify(self, request: pb.ClassifyRequest, call: Call) -> pb.ClassifyResponse:  # noqa: N802
        """Classifies one utterance."""
        return await self._answer(self._lifecycle.classifier(), request, call.caller, Stages(call.arrived), call)

    async def BatchClassify(  # noqa: N802
        self, request: pb.BatchClassifyRequest, call: Call
    ) -> pb.BatchClassifyResponse:
        """Classifies several utterances; the fault of one never fails the rest."""
        size, limit = len(request.requests), self._max_batch_size
        if not 1 <= size <= limit:
            raise InvalidInput.of("requests", f"has {size} requests; a batch takes 1 to {limit}")
        classifier, caller = self._lifecycle.classifier(), call.patient()
        return pb.BatchClassifyResponse(
            results=await asyncio.gather(*(self._result(classifier, each, caller, call) for each in request.requests))
        )

    async def ClassifyStream(  # noqa: N802
        self, messages: AsyncIterator[pb.ClassifyStreamRequest | InvalidInput], call: Call
    ) -> None:
        """Classifies utterances as they come."""
        classifier = self._lifecycle.classifier()

        def classify(request: pb.ClassifyRequest, stages: Stages, trim_context: bool) -> Awaitable[Answer]:
            return self._answer_or_status(classifier, request, call.caller, stages, call, trim_context=trim_context)

        def refused(stages: Stages, error: IntentlyError) -> None:
            call.observer.classified("", stages, error)

        await serve_stream(
            messages, call.context.write, classify, refused, classifier, self._stream_limits, self._lifecycle
        )

    async def _answer(
        self,
        classifier: Classifier,
        request: pb.ClassifyRequest,
        caller: Caller,
        stages: Stages,
        call: Call,
        *,
        trim_context: bool = False,
    ) -> pb.ClassifyResponse:
        try:
            classifier.validator.check_counts(len(request.context), len(request.candidate_intents))
            query = convert.query(request, trim_context=trim_context)
            classification = await classifier.classify(query, caller, stages)
        except BaseException as error:
            call.observer.classified(request.text, stages, _reason(error))
            raise
        call.observer.classified(request.text, stages, classification)
        return convert.response(request.request_id, classification, classifier.model)

    async def _answer_or_status(
        self,
        classifier: Classifier,
        request: pb.ClassifyRequest,
        caller: Caller,
        stages: Stages,
        call: Call,
        *,
        trim_context: bool = False,
    ) -> Answer:
        """The answer, or the status that says why there is none: what one of several gets."""
        try:
            return await self._answer(classifier, request, caller, stages, call, trim_context=trim_context)
        except IntentlyError as error:
            return rich_status(error)
        except Exception:
            logger.exception("one of several requests failed")
            return rich_status(InternalFault())

    async def _result(
        self, classifier: Classifier, request: pb.ClassifyRequest, caller: Caller, call: Call
    ) -> pb.BatchClassifyResult:
        answer = await self._answer_or_status(classifier, request, caller, Stages(call.arrived), call)
        if isinstance(answer, pb.ClassifyResponse):
            return pb.BatchClassifyResult(response=answer)
        return pb.BatchClassifyResult(error=answer)


def _reason(error: BaseException) -> BaseException:
    """Why work ended: where an item of a stream was withdrawn, the reason that its cancellation carries."""
    if isinstance(error, asyncio.CancelledError) and error.args and isinstance(error.args[0], IntentlyError):
        return error.args[0]
    return error
