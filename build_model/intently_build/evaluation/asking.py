"""Asks a server about many utterances at once, through gRPC, and takes the time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from intently.v1 import intent_service_pb2, intent_service_pb2_grpc
from intently_build.calibration import Floats
from intently_build.errors import BuildError
from intently_build.evaluation.answers import Answers

CALL_SECONDS = 120.0


@dataclass(frozen=True)
class Asked:
    """What came of it.

    Attributes:
      answers: in the order of the utterances.
      latencies: (rows) seconds from a call's start to its answer; waiting for one's turn to call is not in it.
      seconds: from the first call to the last answer.
    """

    answers: Answers
    latencies: Floats
    seconds: float


async def ask(
    address: str, texts: Sequence[str], intents: Sequence[str], in_flight: int, advance: Callable[[], None]
) -> Asked:
    """Returns the server's answers to `texts`, whatever the outcome.

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

        async def one(text: str) -> tuple[int, float, float, float]:
            request = intent_service_pb2.ClassifyRequest(text=text, top_k=1)
            async with gate:
                begin = time.perf_counter()
                response = await stub.Classify(request, timeout=CALL_SECONDS)
                latency = time.perf_counter() - begin
            advance()
            best = response.predictions[0]
            return rows[best.intent], best.confidence, response.out_of_scope_confidence, latency

        begin = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(text)) for text in texts]
        except* grpc.aio.AioRpcError as errors:
            first = next(error for error in errors.exceptions if isinstance(error, grpc.aio.AioRpcError))
            raise BuildError(f"{address}: a call failed: {first.code().name}: {first.details()}") from first
        seconds = time.perf_counter() - begin
    columns = np.array([task.result() for task in tasks], dtype=np.float64).reshape(-1, 4).T
    return Asked(Answers(columns[0].astype(np.int64), columns[1], columns[2]), columns[3], seconds)
