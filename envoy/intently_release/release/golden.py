"""The bundle's golden vectors as real requests through Envoy: the last check before callers come."""

import asyncio
import time
from typing import TYPE_CHECKING

import grpc

from intently.v1 import bundle_pb2, intent_service_pb2
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.release.packaged import Packaged
from intently_release.xds.names import PIN_HEADER

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub

_TIMEOUT_S = 10.0
_PAUSE_S = 0.2
_TOLD = 3  # of all that is wrong


async def check_golden(
    channel: grpc.aio.Channel, color: Color, packaged: Packaged, tolerance: float | None = None
) -> list[str]:
    """Sends every golden vector to a color; returns what is wrong with the answers, in sentences. Nothing is good.

    Args:
        channel: To Envoy.
        color: Who shall answer, by the pin header.
        packaged: Whose golden vectors.
        tolerance: Greatest difference of a confidence from the vector's; the bundle's own if None.
    """
    tolerance = packaged.tolerance if tolerance is None else tolerance
    stub: IntentServiceAsyncStub = IntentServiceStub(channel)
    vectors = packaged.manifest.golden_vectors
    problems = await asyncio.gather(
        *(_check(stub, color, index, vector, packaged, tolerance) for index, vector in enumerate(vectors))
    )
    found = [problem for problem in problems if problem]
    return found if len(found) <= _TOLD else [*found[:_TOLD], f"and {len(found) - _TOLD} golden requests more"]


async def _check(
    stub: "IntentServiceAsyncStub",
    color: Color,
    index: int,
    vector: bundle_pb2.GoldenVector,
    packaged: Packaged,
    tolerance: float,
) -> str:
    intents = [intent.name for intent in packaged.manifest.label_set.intents]
    request = intent_service_pb2.ClassifyRequest(
        request_id=f"golden-{index}", text=vector.text, context=vector.context, top_k=len(intents)
    )
    try:
        answer = await _asked(stub, request, color)
    except grpc.aio.AioRpcError as error:
        return f"golden request {index}: {error.code().name}: {error.details()}"
    if answer.model.revision != packaged.revision:
        return f"golden request {index}: revision {answer.model.revision[:12]} answered, not {packaged.revision[:12]}"
    expected = dict(zip(intents, vector.probabilities, strict=False))
    got = {each.intent: each.confidence for each in answer.predictions}
    if got.keys() != expected.keys():
        return f"golden request {index}: {len(got)} intents came back, not {len(expected)}"
    worst = max(abs(got[intent] - expected[intent]) for intent in intents)
    if not worst <= tolerance:
        return f"golden request {index}: a confidence differs by {worst:.2g} from the bundle's own, over {tolerance:g}"
    return ""


async def _asked(
    stub: "IntentServiceAsyncStub", request: intent_service_pb2.ClassifyRequest, color: Color
) -> intent_service_pb2.ClassifyResponse:
    """The color's answer. Who has just started may miss a health check: for a while, UNAVAILABLE is asked again."""
    until = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return await stub.Classify(request, timeout=_TIMEOUT_S, metadata=((PIN_HEADER, str(color)),))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                raise
        await asyncio.sleep(_PAUSE_S)
