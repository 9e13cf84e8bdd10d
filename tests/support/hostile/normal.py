"""A caller that means well: it notices when others are harmed."""

import time
from dataclasses import dataclass

import grpc
import numpy as np

from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_server.model import Model
from support.stream_caller import StreamCaller

_STALLED_S = 10.0
_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and 99th percentile of calls that were all answered, in seconds."""

    p50: float
    p99: float


class NormalCaller:
    """Makes calls of which it knows the answer.

    Args:
        address: HOST:PORT of the server.
        text: What is said.
        intent: The intent that it must be.
    """

    def __init__(self, address: str, text: str, intent: str) -> None:
        self._address = address
        self._text = text
        self._intent = intent

    async def calls(self, times: int) -> Latency:
        """Calls on a connection of their own, one after the other, and a stream at the end.

        Raises:
            AssertionError: for a wrong answer.
            AioRpcError: for a call that fails; one without an answer for 10 s has stalled.
        """
        async with grpc.aio.insecure_channel(self._address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            intents = IntentServiceStub(channel)
            await intents.Classify(pb.ClassifyRequest(text=self._text), timeout=_STALLED_S)  # it connects
            took = []
            for number in range(times):
                begun = time.perf_counter()
                request = pb.ClassifyRequest(request_id=str(number), text=self._text)
                self._check(await intents.Classify(request, timeout=_STALLED_S), str(number))
                took.append(time.perf_counter() - begun)
            stream = StreamCaller(intents, timeout=_STALLED_S)
            await stream.open()
            for number in range(_AT_ONCE):
                await stream.item(str(number), self._text)
            answers = {answer.response.request_id: answer.response for answer in await stream.finish()}
            assert sorted(answers) == [str(number) for number in range(_AT_ONCE)]
            for request_id, answer in answers.items():
                self._check(answer, request_id)
        took.sort()
        return Latency(took[len(took) // 2], took[len(took) * 99 // 100])

    def _check(self, answer: pb.ClassifyResponse, request_id: str) -> None:
        assert answer.request_id == request_id
        assert answer.predictions[0].intent == self._intent


def normal_caller(model: Model, address: str) -> NormalCaller:
    """A caller that says what the model's first golden vector says."""
    golden = model.golden_vectors[0]
    intent = model.intents[int(np.argmax(golden.probabilities[: len(model.intents)]))]
    return NormalCaller(address, golden.text, intent)
