"""IntentService: unary, batch and stream."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from intently.v1 import intent_service_pb2 as pb
from intently_server.classifier import Classifier
from intently_server.errors import IntentlyError, InternalFault, InvalidInput, Unavailable
from intently_server.lifecycle import Lifecycle
from intently_server.servicer import convert
from intently_server.servicer.call import Call
from intently_server.servicer.fault_log import FaultLog
from intently_server.servicer.status import rich_status
from intently_server.servicer.stream import Answer, StreamAges, StreamLimits, serve_stream
from intently_server.types import Caller, Stages

_FAULTS = (Unavailable, InternalFault)  # of this server, whatever the request


class IntentServicer:
    """Answers IntentService.

    Args:
        lifecycle: Says who answers now.
        max_batch_size: Requests in one batch at most.
        stream_limits: Bounds of a stream.
        ages: Says when a stream is old.
        faults: Told of what nobody expected.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        max_batch_size: int,
        stream_limits: StreamLimits,
        ages: StreamAges,
        faults: FaultLog,
    ) -> None:
        self._lifecycle = lifecycle
        self._max_batch_size = max_batch_size
        self._stream_limits = stream_limits
        self._ages = ages
        self._faults = faults

    async def Classify(self, request: pb.ClassifyRequest, call: Call) -> pb.ClassifyResponse:  # noqa: N802
        """Classifies one utterance."""
        return await self._answer(self._lifecycle.classifier(), request, call.caller, Stages(call.arrived), call)

    async def BatchClassify(  # noqa: N802
        self, request: pb.BatchClassifyRequest, call: Call
    ) -> pb.BatchClassifyResponse:
        """Classifies several utterances; the fault of one never fails the rest.

        Where all met a fault of this server, the call ends with it: proxies and clients read the call's status alone.
        """
        size, limit = len(request.requests), self._max_batch_size
        if not 1 <= size <= limit:
            raise InvalidInput.of("requests", f"has {size} requests; a batch takes 1 to {limit}")
        classifier, caller = self._lifecycle.classifier(), call.patient()
        answers = await asyncio.gather(
            *(self._answer_or_error(classifier, each, caller, Stages(call.arrived), call) for each in request.requests)
        )
        faults = [each for each in answers if isinstance(each, _FAULTS)]
        if len(faults) == size:
            raise faults[0]
        return _batch(answers)

    async def ClassifyStream(  # noqa: N802
        self, messages: AsyncIterator[pb.ClassifyStreamRequest | InvalidInput], call: Call
    ) -> None:
        """Classifies utterances as they come."""
        classifier = self._lifecycle.classifier()

        async def classify(request: pb.ClassifyRequest, stages: Stages, trim_context: bool) -> Answer:
            caller = call.caller
            answer = await self._answer_or_error(classifier, request, caller, stages, call, trim_context=trim_context)
            if isinstance(answer, IntentlyError):
                return rich_status(answer)
            call.unsent.add(answer.ByteSize(), at_most=False)
            return answer

        async def write(message: pb.ClassifyStreamResponse) -> None:
            await call.context.write(message)
            if message.HasField("response"):
                call.unsent.remove(message.response.ByteSize())

        def refused(stages: Stages, error: IntentlyError) -> None:
            call.observer.classified("", stages, error)

        limits = self._stream_limits
        await serve_stream(messages, write, classify, refused, classifier, limits, self._lifecycle, self._ages)

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
            call.unsent.check()
            classifier.validator.check_counts(len(request.context), len(request.candidate_intents))
            query = convert.query(request, trim_context=trim_context)
            classification = await classifier.classify(query, caller, stages)
        except BaseException as error:
            call.observer.classified(request.text, stages, _reason(error))
            raise
        call.observer.classified(request.text, stages, classification)
        return convert.response(request.request_id, classification, classifier.model)

    async def _answer_or_error(
        self,
        classifier: Classifier,
        request: pb.ClassifyRequest,
        caller: Caller,
        stages: Stages,
        call: Call,
        *,
        trim_context: bool = False,
    ) -> pb.ClassifyResponse | IntentlyError:
        """The answer, or why there is none: what one of several gets."""
        try:
            return await self._answer(classifier, request, caller, stages, call, trim_context=trim_context)
        except IntentlyError as error:
            return error
        except Exception as error:
            self._faults.tell("one of several requests", error)
            return InternalFault()


def _batch(answers: Sequence[pb.ClassifyResponse | IntentlyError]) -> pb.BatchClassifyResponse:
    batch = pb.BatchClassifyResponse()
    for each in answers:
        result = batch.results.add()
        if isinstance(each, IntentlyError):
            result.error.CopyFrom(rich_status(each))
        else:
            result.response.CopyFrom(each)
    return batch


def _reason(error: BaseException) -> BaseException:
    """Why work ended: where an item of a stream was withdrawn, the reason that its cancellation carries."""
    if isinstance(error, asyncio.CancelledError) and error.args and isinstance(error.args[0], IntentlyError):
        return error.args[0]
    return error
