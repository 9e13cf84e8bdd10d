"""How a ClassifyStream begins: its first message, and what may be wrong with it."""

import asyncio
from collections.abc import AsyncIterator

from intently.v1 import intent_service_pb2 as pb
from intently_server.errors import InvalidInput
from intently_server.lifecycle import Lifecycle
from intently_server.servicer import convert
from intently_server.validation import QueryValidator

Messages = AsyncIterator[pb.ClassifyStreamRequest | InvalidInput]


async def first_config(messages: Messages, lifecycle: Lifecycle) -> pb.StreamConfig:
    """Takes the first message.

    Raises:
        InvalidInput: if it is no StreamConfig, or there is none.
        Unavailable: if the server drains before it comes: a stream that has not begun does not hold that up.
    """
    first = await _first(messages, lifecycle)
    if isinstance(first, InvalidInput):
        raise first
    if first is None or first.WhichOneof("message") != "config":
        raise InvalidInput.of("config", "the first message of a stream must be a StreamConfig")
    return first.config


def check_config(config: pb.StreamConfig, validator: QueryValidator, max_turns: int) -> None:
    """Accepts a stream's configuration in silence.

    Raises:
        InvalidInput: names the field that is wrong.
        ModelNotServed: if another model is asked for.
    """
    if config.max_in_flight < 0:
        raise InvalidInput.of("config.max_in_flight", f"is {config.max_in_flight}; it cannot be negative")
    if config.initial_context and not config.accumulate_context:
        raise InvalidInput.of("config.initial_context", "needs accumulate_context")
    if len(config.initial_context) > max_turns:
        raise InvalidInput.of(
            "config.initial_context", f"has {len(config.initial_context)} turns; the limit is {max_turns}"
        )
    validator.check_turns([convert.turn(each) for each in config.initial_context], "config.initial_context")
    if config.HasField("model"):
        validator.check_model(convert.selector(config.model), "config.model")


async def _first(messages: Messages, lifecycle: Lifecycle) -> pb.ClassifyStreamRequest | InvalidInput | None:
    async def read() -> pb.ClassifyStreamRequest | InvalidInput | None:
        return await anext(messages, None)

    reading, drained = asyncio.create_task(read()), asyncio.create_task(lifecycle.draining.wait())
    try:
        await asyncio.wait([reading, drained], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
        raise lifecycle.refusal()
    finally:
        reading.cancel()
        drained.cancel()
