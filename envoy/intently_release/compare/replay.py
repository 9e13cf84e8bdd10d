"""Sends each utterance to both colors through Envoy, at the same time, and brings both replies together."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color
from intently_release.compare.answers import OK, Reply, answer_of
from intently_release.compare.utterances import Utterance
from intently_release.xds.names import PIN_HEADER

if TYPE_CHECKING:
    from intently.v1.intent_service_pb2_grpc import IntentServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Exchange:
    """An utterance, and what each color said to it."""

    utterance: Utterance
    replies: Mapping[Color, Reply]


class Replay:
    """Calls both colors by the pin header. No call is made twice: Envoy makes the retries that it makes for everybody.

    Args:
        channel: To Envoy.
        at_once: Utterances under way; each is one call to each color.
        deadline_s: Of each call.
    """

    def __init__(self, channel: grpc.aio.Channel, at_once: int, deadline_s: float) -> None:
        self._intents: IntentServiceAsyncStub = IntentServiceStub(channel)
        self._at_once = at_once
        self._deadline_s = deadline_s

    async def run(self, utterances: AsyncIterator[Utterance]) -> AsyncGenerator[Exchange, None]:
        """Each exchange as it ends, in any order. Reads no further while `at_once` are under way."""
        under_way: set[asyncio.Task[Exchange]] = set()
        try:
            async for utterance in utterances:
                under_way.add(asyncio.create_task(self._exchange(utterance)))
                if len(under_way) >= self._at_once:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            for ended in asyncio.as_completed(under_way):
                yield await ended
        finally:
            for task in under_way:
                task.cancel()

    async def _exchange(self, utterance: Utterance) -> Exchange:
        colors = list(Color) if utterance.line % 2 else list(reversed(Color))  # neither is always asked first
        replies = await asyncio.gather(*(self._ask(color, utterance) for color in colors))
        return Exchange(utterance, dict(zip(colors, replies, strict=True)))

    async def _ask(self, color: Color, utterance: Utterance) -> Reply:
        began = time.perf_counter()
        try:
            call = self._intents.Classify(
                utterance.request, timeout=self._deadline_s, metadata=((PIN_HEADER, str(color)),)
            )
            response = await call
        except grpc.aio.AioRpcError as error:
            return Reply(error.code().name, time.perf_counter() - began)
        return Reply(OK, time.perf_counter() - began, answer_of(response))
