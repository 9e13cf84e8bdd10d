"""Bytes of a message after mutations: flipped, cut, repeated, with fields that are unknown, false, endless or deep."""

import struct
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from support.fuzz.messages import REALS

_DEEP = 200  # levels; protobuf takes 100
_MOST = 4  # mutations of one message
_LONG = 2000
_FIELDS = st.integers(1, 12)


def broken(draw: DrawFn, data: bytes) -> bytes:
    """Those bytes after one to four mutations."""
    for mutate in draw(st.lists(st.sampled_from(_MUTATIONS), min_size=1, max_size=_MOST)):
        data = mutate(draw, data)
    return data


def position(draw: DrawFn, data: bytes) -> int:
    """Where something of them could begin or end."""
    return draw(st.integers(0, len(data)))


def _flip_bits(draw: DrawFn, data: bytes) -> bytes:
    flipped = bytearray(data)
    for _ in range(min(len(flipped), draw(st.sampled_from((1, 1, 3, 10))))):
        flipped[draw(st.integers(0, len(flipped) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(flipped)


def _truncate(draw: DrawFn, data: bytes) -> bytes:
    return data[: position(draw, data)]


def _insert(draw: DrawFn, data: bytes) -> bytes:
    at, size = position(draw, data), draw(st.sampled_from((1, 2, 10, 300)))
    return data[:at] + draw(st.binary(min_size=size, max_size=size)) + data[at:]


def _replace(draw: DrawFn, data: bytes) -> bytes:  # nothing is left of them
    return draw(st.binary(max_size=300))


def _repeat(draw: DrawFn, data: bytes) -> bytes:
    """The same again: a field that may be there once is there often, a list is longer."""
    return data * draw(st.sampled_from((2, 3, 50))) if len(data) < _LONG else data + data


def _unknown_field(draw: DrawFn, data: bytes) -> bytes:
    return data + _tag(draw(st.sampled_from((15, 99, 2**29 - 1))), 2) + b"\x03abc"


def _wrong_wire_type(draw: DrawFn, data: bytes) -> bytes:
    """One of the first fields in another encoding than its own; 3 and 4 are groups, 6 and 7 are none."""
    field, wire_type = draw(st.integers(0, 12)), draw(st.integers(0, 7))
    return data + _tag(field, wire_type) + draw(st.sampled_from((b"", b"\x01", bytes(4), bytes(8), b"\xff" * 10)))


def _huge_varint(draw: DrawFn, data: bytes) -> bytes:
    return data + _tag(draw(_FIELDS), 0) + b"\xff" * draw(st.sampled_from((9, 10, 11, 100))) + b"\x01"


def _false_length(draw: DrawFn, data: bytes) -> bytes:
    claimed = draw(st.sampled_from((1, 2**14, 2**31 - 1, 2**32 - 1, 2**63)))
    return data + _tag(draw(_FIELDS), 2) + _varint(claimed) + b"x" * 5


def _no_utf8(draw: DrawFn, data: bytes) -> bytes:
    bad = draw(st.sampled_from((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"ok \xfe ok")))
    return data + _tag(draw(_FIELDS), 2) + _varint(len(bad)) + bad


def _deep(draw: DrawFn, data: bytes) -> bytes:
    """A message in a message in a message, deeper than protobuf goes."""
    field, nested = draw(st.sampled_from((1, 2, 3, 5))), b""
    for _ in range(_DEEP):
        nested = _tag(field, 2) + _varint(len(nested)) + nested
    return data + nested


def _deep_groups(draw: DrawFn, data: bytes) -> bytes:
    return data + _tag(draw(_FIELDS), 3) * 10_000


def _many_fields(draw: DrawFn, data: bytes) -> bytes:
    return data + (_tag(draw(_FIELDS), 2) + b"\0") * 20_000


def _splice(draw: DrawFn, data: bytes) -> bytes:
    """A piece of it, somewhere else in it."""
    begin, end = sorted((position(draw, data), position(draw, data)))
    at = position(draw, data)
    return data[:at] + data[begin:end] + data[at:]


def _numbers(draw: DrawFn, data: bytes) -> bytes:
    real, whole = draw(st.sampled_from(REALS)), draw(st.sampled_from((0, 2**63)))
    return data + _tag(8, 1) + struct.pack("<d", real) + _tag(7, 0) + _varint(whole)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


_MUTATIONS: tuple[Callable[[DrawFn, bytes], bytes], ...] = (
    _truncate,
    _flip_bits,
    _flip_bits,
    _insert,
    _replace,
    _repeat,
    _unknown_field,
    _wrong_wire_type,
    _huge_varint,
    _false_length,
    _no_utf8,
    _deep,
    _deep_groups,
    _many_fields,
    _splice,
    _numbers,
)
