"""How a ClassifyStream begins: its first message."""

import asyncio
from collections.abc import AsyncIterator

from intently.v1 import intent_service_pb2 as pb
from intently_server.errors import InvalidInput
from intently_server.lifecycle import Lifecycle

Messages = AsyncIterator[pb.ClassifyStreamRequest | InvalidInput]


async def first_config(messages: Messages, lifecycle: Lifecycle, within_s: float) -> pb.StreamConfig:
    """Takes the first message.

    Raises:
        InvalidInput: if it is no StreamConfig, or there is none, or it does not come within `within_s` seconds.
        Unavailable: if the server drains before it comes: a stream that has not begun holds nothing up.
    """
    first = await _first(messages, lifecycle, within_s)
    if isinstance(first, InvalidInput):
        raise first
    if first is None or first.WhichOneof("message") != "config":
        raise InvalidInput.of("config", "the first message of a stream must be a StreamConfig")
    return first.config


async def _first(
    messages: Messages, lifecycle: Lifecycle, within_s: float
) -> pb.ClassifyStreamRequest | InvalidInput | None:
    async def read() -> pb.ClassifyStreamRequest | InvalidInput | None:
        return await anext(messages, None)

    reading, drained = asyncio.create_task(read()), asyncio.create_task(lifecycle.draining.wait())
    try:
        await asyncio.wait([reading, drained], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
        if drained.done():
            raise lifecycle.refusal()
        raise InvalidInput.of("config", f"did not come within {within_s:g} s; send it as the stream is opened")
    finally:
        reading.cancel()
        drained.cancel()
