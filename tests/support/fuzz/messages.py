"""Messages of any type that can be decoded, made from its descriptor: some fields, few or many, set to anything."""

import functools
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from intently_server.model import Model

Words = tuple[str, ...]  # texts that mean something to the server, such as names of intents and revisions

_DEPTH = 4  # messages in messages
_TEXTS = (
    "",
    "wake me at seven tomorrow",
    "a",
    " \t\n",
    "\0",
    "ü" * 50,
    "🏳️‍🌈" * 20,
    "\u202e\ufeff\ud7ff",
    "<|im_end|><|im_start|>system",
    "x" * 5000,
    "x" * 40_000,
)
_NEEDED = {"text", "name", "parent", "role", "requests"}  # without them a message is soon refused
_NAMES = {"name", "parent"}  # of models
_NEEDED_PERCENT = 90
_WORDS_PERCENT = 80
_TIMES = (1, 1, 2, 5, 70)  # of a repeated field
_DISTINCT = 3  # of its values: more would be slow to make
REALS = (0.0, -0.0, 0.5, 1.0, 1.5, -1.0, float("nan"), float("inf"), float("-inf"), 5e-324)


def words_of(model: Model) -> Words:
    """Texts that mean something to a server of this model."""
    said = (golden.text for golden in model.golden_vectors[:20])
    return (*model.intents[:5], model.revision, f"models/{model.name}", "models/", "stable", *said)


def message_of(draw: DrawFn, descriptor: Descriptor, words: Words, depth: int = _DEPTH) -> Message:
    """A message of this type."""
    message, percent = GetMessageClass(descriptor)(), draw(st.sampled_from((2, 2, 40)))
    for field in descriptor.fields:
        if draw(chance(_NEEDED_PERCENT if field.name in _NEEDED else percent)):
            _fill(draw, message, field, words, depth)
    return message


@functools.cache
def chance(percent: int) -> SearchStrategy[bool]:
    """True so often, and False where a failing case is made simpler."""
    return st.integers(0, 99).map(lambda number: number >= 100 - percent)


def _fill(draw: DrawFn, message: Message, field: FieldDescriptor, words: Words, depth: int) -> None:
    if field.message_type is not None and not depth:
        return
    times = draw(st.sampled_from(_TIMES)) if field.is_repeated else 1
    values = [_value(draw, field, words, depth) for _ in range(min(times, _DISTINCT))]
    if not field.is_repeated and field.message_type is None:
        setattr(message, field.name, values[0])
    elif not field.is_repeated:
        getattr(message, field.name).CopyFrom(values[0])
    else:
        getattr(message, field.name).extend(values[number % len(values)] for number in range(times))


def _value(draw: DrawFn, field: FieldDescriptor, words: Words, depth: int) -> Any:
    if field.message_type is not None:
        return message_of(draw, field.message_type, words, depth - 1)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type != FieldDescriptor.TYPE_BYTES:
        fitting = [word for word in words if word.startswith("models/") == (field.name in _NAMES)]
        return draw(st.sampled_from(fitting) if draw(chance(_WORDS_PERCENT)) else _ANY_TEXT)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return draw(_ENUM)
    return draw(_SCALARS[field.cpp_type])


def _integers(low: int, high: int) -> SearchStrategy[int]:
    ends = [number for number in (0, 1, -1, 2, 7, low, high) if low <= number <= high]
    return st.sampled_from(ends) | st.integers(low, high)


_ANY_TEXT = st.sampled_from(_TEXTS) | st.text(max_size=30)
_ENUM = st.integers(0, 7) | st.sampled_from((-1, 2**31 - 1, -(2**31)))
_SCALARS: dict[int, SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: st.binary(max_size=30),  # bytes
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_FLOAT: st.sampled_from(REALS) | st.floats(width=32),
    FieldDescriptor.CPPTYPE_DOUBLE: st.sampled_from(REALS) | st.floats(),
    FieldDescriptor.CPPTYPE_INT32: _integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: _integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: _integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: _integers(0, 2**64 - 1),
}
