"""Asks a server about many utterances at once, through gRPC."""

import asyncio
from collections.abc import Callable, Sequence

import grpc
import numpy as np

from intently.v1 import intent_service_pb2, intent_service_pb2_grpc
from intently_build.errors import BuildError
from intently_build.metrics import Answers

CALL_SECONDS = 120.0


async def ask(
    address: str, texts: Sequence[str], intents: Sequence[str], in_flight: int, advance: Callable[[], None]
) -> Answers:
    """Returns the server's answers to `texts`, in their order, whatever the outcome.

    Args:
      address: of the server, without TLS.
      texts: the utterances.
      intents: the names of the intents, in the order of the head's rows.
      in_flight: how many calls are under way at a time.
      advance: called once for each answer.

    Raises BuildError for a call that fails.
    """
    gate = asyncio.Semaphore(in_flight)
    rows = {name: row for row, name in enumerate(intents)}
    async with grpc.aio.insecure_channel(address) as channel:
        stub = intent_service_pb2_grpc.IntentServiceStub(channel)

        async def one(text: str) -> tuple[int, float, float]:
            request = intent_service_pb2.ClassifyRequest(text=text, top_k=1)
            async with gate:
                response = await stub.Classify(request, timeout=CALL_SECONDS)
            advance()
            best = response.predictions[0]
            return rows[best.intent], best.confidence, response.out_of_scope_confidence

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(text)) for text in texts]
        except* grpc.aio.AioRpcError as errors:
            first = next(error for error in errors.exceptions if isinstance(error, grpc.aio.AioRpcError))
            raise BuildError(f"{address}: a call failed: {first.code().name}: {first.details()}") from first
    answers = [task.result() for task in tasks]
    return Answers(
        intents=np.array([answer[0] for answer in answers], dtype=np.int64),
        confidences=np.array([answer[1] for answer in answers], dtype=np.float64),
        out_of_scope=np.array([answer[2] for answer in answers], dtype=np.float64),
    )
