"""Whether two servers of one bundle give the same answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from intently.v1 import intent_service_pb2 as pb
from intently.v1 import intent_service_pb2_grpc as pb_grpc

_TEXTS = 400
_AT_ONCE = 32  # so that steps have many sizes; what an engine is given at least
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Compared:
    """How far the answers of two servers are apart, in confidence.

    Attributes:
        difference: The greatest, of any label of any text.
        noise: The same between two rounds of the first server: what a text is computed together with differs by chance.
        most: The greatest confidence of all.
    """

    difference: float
    noise: float
    most: float


def compared(first: str, second: str, texts: Sequence[str], labels: int) -> Compared:
    """Asks both for the same texts, twice, since a prompt that comes again is partly cached; and the first once more.

    Args:
        first: HOST:PORT.
        second: HOST:PORT.
        texts: The first 400 of them are asked.
        labels: Of the bundle, all of which are compared.
    """
    asked, order = texts[:_TEXTS], (first, second, first, second, first)
    _, _, one, two, again = (asyncio.run(_confidences(address, asked, labels)) for address in order)
    return Compared(float(np.abs(one - two).max()), float(np.abs(one - again).max()), float(one.max()))


async def _confidences(address: str, texts: Sequence[str], labels: int) -> np.ndarray:
    """Of each text (rows) and label (columns, by name)."""
    room = asyncio.Semaphore(_AT_ONCE)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.IntentServiceStub(channel)

        async def one(text: str) -> list[float]:
            async with room:
                answer = await stub.Classify(pb.ClassifyRequest(text=text, top_k=labels), timeout=_TIMEOUT_S)
            by_name = sorted(answer.predictions, key=lambda each: each.intent)
            return [each.confidence for each in by_name]

        return np.asarray(await asyncio.gather(*map(one, texts)))
