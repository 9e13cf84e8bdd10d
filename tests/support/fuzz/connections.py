"""Connections of which gRPC's framing, a call's headers, HTTP/2's frames, or everything is not as it should be."""

import gzip
import itertools
import struct
import zlib

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from support.fuzz.calls import METHODS, STREAMS, calls, conversations, message_to, path_of
from support.fuzz.case import Case, Kind
from support.fuzz.frames import (
    BEGIN,
    DATA,
    END_STREAM,
    LARGEST,
    PADDED,
    block,
    call_headers,
    frame,
    header_frames,
    padded,
)
from support.fuzz.header_values import header_lists
from support.fuzz.http2 import frame_lists
from support.fuzz.messages import Words, chance
from support.fuzz.mutations import position
from support.hostile.peer import PREFACE

_ENCODINGS = ("", "", "", "gzip", "deflate", "identity", "unheard-of")
_PACKED = (lambda message: message, gzip.compress, zlib.compress)
_MOST_SPLITS = 6
_WEIGHED = (0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5)  # the kinds of `cases`, by number
_GREETINGS = (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes.fromhex("16030100a5010000a10303"), b"\0", b"")


@st.composite
def framings(draw: DrawFn, words: Words) -> Case:
    """A call whose messages claim lengths, compression and encodings, in DATA frames that split them anywhere."""
    method = draw(st.sampled_from(METHODS))
    encoding = draw(st.sampled_from(_ENCODINGS))
    more = (("grpc-encoding", encoding),) if encoding else ()
    count = draw(st.integers(1, 3)) if path_of(method) in STREAMS or draw(chance(10)) else 1
    body = b"".join(_framed(draw, message_to(draw, method, words)) for _ in range(count))
    if draw(chance(20)):
        body = body[: position(draw, body)]
    frames = header_frames(1, block(call_headers(path_of(method), *more)))
    frames += _data_frames(draw, body, end=not draw(chance(20)))
    return Case(Kind.FRAMING, "", _split(draw, BEGIN + b"".join(frames)))


@st.composite
def metadata(draw: DrawFn, words: Words, bad_paths: bool) -> Case:  # as it is asked for
    """Calls with headers that are unknown, malformed, huge, many, missing, twice there, or in another order."""
    written = BEGIN
    for number in range(draw(st.integers(1, 3))):
        method, stream = draw(st.sampled_from(METHODS)), 1 + 2 * number
        packed = block(draw(header_lists(path_of(method), bad_paths)))
        if draw(chance(10)):
            packed = packed[: position(draw, packed)]
        at_most = draw(st.sampled_from((LARGEST, LARGEST, 1, 20, LARGEST + 1)))
        frames = header_frames(stream, packed, at_most=max(at_most, len(packed) // 50))
        body = message_to(draw, method, words)
        frames += _data_frames(draw, struct.pack(">BI", 0, len(body)) + body, stream=stream)
        written += b"".join(frames)
    return Case(Kind.METADATA, "", _split(draw, written))


@st.composite
def http2(draw: DrawFn) -> Case:
    """Frames of any type, flags, streams, sizes and padding, in any order, some of them whole calls."""
    begin = BEGIN if not draw(chance(10)) else draw(st.sampled_from((PREFACE, b"", BEGIN[:10], BEGIN + BEGIN)))
    return Case(Kind.HTTP2, "", _split(draw, begin + b"".join(draw(frame_lists()))))


@st.composite
def garbage(draw: DrawFn) -> Case:
    """Other protocols, and bytes that mean nothing, from the beginning or after one that is right."""
    begin = draw(st.sampled_from((*_GREETINGS, PREFACE, BEGIN)))
    cut = begin[: position(draw, begin)] if draw(chance(20)) else begin
    return Case(Kind.GARBAGE, "", _split(draw, cut + draw(st.binary(max_size=400)) * draw(st.sampled_from((1, 1, 40)))))


def cases(words: Words, *, bad_paths: bool = False) -> SearchStrategy[Case]:
    """All kinds; most are calls, which come farthest into the server. For `bad_paths` see `header_lists`."""
    kinds = (calls(words), conversations(words), framings(words), metadata(words, bad_paths), http2(), garbage())
    return st.sampled_from(_WEIGHED).flatmap(lambda number: kinds[number])


def _framed(draw: DrawFn, message: bytes) -> bytes:
    """A gRPC message that may claim to be compressed, or of another length."""
    body, flag, claimed = message, 0, None
    if draw(chance(30)):
        body, flag = draw(st.sampled_from(_PACKED))(message), draw(st.sampled_from((0, 1, 1, 1, 2, 255)))
    if draw(chance(15)):
        claimed = draw(st.sampled_from((0, len(body) + 1, max(0, len(body) - 1), 200, 2**21 + 1, 2**31, 2**32 - 1)))
    return struct.pack(">BI", flag, len(body) if claimed is None else claimed) + body


def _data_frames(draw: DrawFn, body: bytes, *, stream: int = 1, end: bool = True) -> list[bytes]:
    """The body in DATA frames, some of them padded or empty; the last ends the stream, if anything does."""
    largest = [body[at : at + LARGEST - 256] for at in range(0, len(body), LARGEST - 256)] or [b""]
    parts = [part for each in largest for part in _split(draw, each)] if draw(chance(50)) else largest
    if draw(chance(10)):
        parts.insert(draw(st.integers(0, len(parts))), b"")
    flags = [END_STREAM if end and number == len(parts) - 1 else 0 for number in range(len(parts))]
    if not draw(chance(5)):
        return [frame(DATA, flag, stream, part) for flag, part in zip(flags, parts, strict=True)]
    padding = draw(st.sampled_from((0, 1, 255)))
    return [frame(DATA, flag | PADDED, stream, padded(part, padding)) for flag, part in zip(flags, parts, strict=True)]


def _split(draw: DrawFn, data: bytes) -> tuple[bytes, ...]:
    """The same bytes in one piece or several."""
    places = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=_MOST_SPLITS))})
    return tuple(data[begin:end] for begin, end in itertools.pairwise(places)) or (data,)
