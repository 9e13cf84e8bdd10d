"""Intently over gRPC: unary calls and batches, serialized beforehand, over one or more connections."""

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from intently.bench.plan import Plan, Shape, Share
from intently.bench.tally import OK, Answer
from intently.bench.targets.channels import connect, open_channels
from intently.bench.targets.traffic import LOOK_INTO_EVERY, ONE_OK, failed, failure
from intently.errors import from_rpc_error, from_status
from intently.v1 import intent_service_pb2 as pb

_DISTINCT_BATCHES = 64
_SERVICE = "/intently.v1.IntentService/"


class Calls:
    """Unary calls, or batches."""

    def __init__(self, plan: Plan, share: Share) -> None:
        self._plan = plan
        self._batch = plan.shape is Shape.BATCH
        self._whole = plan.batch_size if self._batch else 1
        self._metadata = plan.call_metadata()
        self._channels = open_channels(plan)
        method = f"{_SERVICE}{'BatchClassify' if self._batch else 'Classify'}"
        self._methods: list[Any] = [channel.unary_unary(method) for channel in self._channels]
        said = random.Random(plan.seed + share.index).sample(plan.utterances, len(plan.utterances))
        self._payloads = itertools.cycle(_batches(said, plan.batch_size) if self._batch else _requests(said))
        self._answers = 0

    async def open(self) -> None:
        """See `Traffic`."""
        await connect(self._channels, self._plan.wait_s)

    async def call(self, number: int) -> Answer:
        """See `Traffic`."""
        method = self._methods[number % len(self._methods)]
        try:
            response = await method(next(self._payloads), timeout=self._plan.timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return failure(from_rpc_error(error), self._whole)
        self._answers += 1
        if self._batch:
            return _of_batch(response, self._whole)
        return _of_unary(response) if self._answers % LOOK_INTO_EVERY == 0 else ONE_OK

    def settle(self) -> tuple[int, int]:
        """See `Traffic`."""
        return 0, 0

    async def close(self) -> None:
        """See `Traffic`."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


def _requests(said: list[str]) -> list[bytes]:
    return [pb.ClassifyRequest(text=text).SerializeToString() for text in said]


def _batches(said: list[str], size: int) -> list[bytes]:
    texts = itertools.cycle(said)
    batches = ([pb.ClassifyRequest(text=next(texts)) for _ in range(size)] for _ in range(_DISTINCT_BATCHES))
    return [pb.BatchClassifyRequest(requests=batch).SerializeToString() for batch in batches]


def _of_unary(response: bytes) -> Answer:
    try:
        message = pb.ClassifyResponse.FromString(response)
    except DecodeError:
        return failed("UNDECODABLE")
    return Answer(ok=True, items=ONE_OK.items, outcomes=(outcome_name(message),))


def _of_batch(response: bytes, size: int) -> Answer:
    try:
        results = pb.BatchClassifyResponse.FromString(response).results
    except DecodeError:
        return failed("UNDECODABLE", utterances=size)
    labels = Counter((OK, "") for each in results if each.HasField("response"))
    for error in (from_status(each.error) for each in results if not each.HasField("response")):
        labels[error.code.name, error.reason] += 1
    if len(results) != size:
        labels["MISSING", ""] += size - len(results)
    return Answer(
        ok=True,
        items=tuple(labels.items()),
        outcomes=tuple(outcome_name(each.response) for each in results if each.HasField("response")),
    )


def outcome_name(message: pb.ClassifyResponse) -> str:
    """What was decided: MATCHED, OUT_OF_SCOPE, AMBIGUOUS, or a number that this version does not know."""
    known = pb.Outcome.DESCRIPTOR.values_by_number.get(message.outcome)
    return str(message.outcome) if known is None else known.name.removeprefix("OUTCOME_")
