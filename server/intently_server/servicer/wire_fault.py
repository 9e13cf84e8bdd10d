"""Names the field at fault in bytes that protobuf cannot decode, which its own error does not."""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from intently_server.errors import InvalidInput

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 32
_MAX_FIELDS = 50_000  # read in some tens of milliseconds, during which the event loop does nothing else


def explain(data: bytes, descriptor: Descriptor) -> InvalidInput:
    """The error for bytes that are no message of this type.

    Names the first text that is not UTF-8, as a path such as "context[2].text", where that is what is wrong and it is
    among the message's first fields.
    """
    try:
        path = _first_bad_text(data, descriptor, _MAX_DEPTH, iter(range(_MAX_FIELDS)))
    except (DecodeError, IndexError):
        path = None
    if path is None:
        return InvalidInput.of("(message)", f"the bytes are no {descriptor.full_name}")
    return InvalidInput.of(path, "is not valid UTF-8")


def _first_bad_text(data: bytes, descriptor: Descriptor, depth: int, budget: Iterator[int]) -> str | None:
    seen: dict[int, int] = {}
    for number, value in _length_delimited(data, budget):
        field = descriptor.fields_by_number.get(number)
        if field is None or depth == 0:
            continue
        index = seen.get(number, 0)
        seen[number] = index + 1
        name = f"{field.name}[{index}]" if field.is_repeated else field.name
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(value):
            return name
        if field.message_type is not None:
            inner = _first_bad_text(value, field.message_type, depth - 1, budget)
            if inner is not None:
                return f"{name}.{inner}"
    return None


def _length_delimited(data: bytes, budget: Iterator[int]) -> Iterator[tuple[int, bytes]]:
    """Field number and payload of each length-delimited field of a message, in order, until the budget is spent."""
    at = 0
    while at < len(data):
        if next(budget, None) is None:
            raise DecodeError("too many fields to look at")
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        elif kind == _LENGTH:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise DecodeError("a field reaches past the end")
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise DecodeError("groups are not used")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise DecodeError("a varint is longer than ten bytes")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
