"""Frames of HTTP/2 in any order: of any type, flags, stream, size and padding, and with bodies that fit them or not."""

import struct

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from intently.v1 import intent_service_pb2 as pb
from support.fuzz.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    block,
    call_headers,
    frame,
    header_frames,
    padded,
)
from support.fuzz.messages import chance
from support.hostile.connections import REQUEST
from support.hostile.peer import BATCH, CLASSIFY, STREAM, framed

_MOST = 12
_STREAMS = st.sampled_from((1, 3, 5, 7, 0, 2, 9, 2**31 - 1, 2**32 - 1))
_FLAGS = st.sampled_from((0, END_STREAM, END_HEADERS, END_STREAM | END_HEADERS, PADDED, WITH_PRIORITY, 255)) | (
    st.integers(0, 255)
)
_NUMBERS = st.sampled_from((0, 1, 2, 8, 65_535, 2**31 - 1, 2**31, 2**32 - 1)) | st.integers(0, 2**32 - 1)
_SETTINGS = st.tuples(st.integers(0, 9) | st.sampled_from((0xFE03, 0xFFFF)), _NUMBERS)
_CONFIG = pb.ClassifyStreamRequest(config=pb.StreamConfig()).SerializeToString()
_ITEM = pb.ClassifyStreamRequest(
    item=pb.ClassifyItem(request=pb.ClassifyRequest(request_id="1", text="hello"))
).SerializeToString()
_BODIES = (framed(REQUEST), framed(_CONFIG) + framed(_ITEM), framed(b""), b"", b"\0", bytes(5), framed(REQUEST)[:-1])
_PATHS = (CLASSIFY, STREAM, BATCH, "/grpc.health.v1.Health/Watch", "/x")


def frame_lists() -> SearchStrategy[list[bytes]]:
    """Some frames; a call's or a header block's count as one."""
    return st.lists(st.one_of(_call(), _headers(), _data(), _control(), _anything()), min_size=1, max_size=_MOST)


@st.composite
def _call(draw: DrawFn) -> bytes:
    """A call or a stream as it should be, which may be taken back."""
    stream, path = draw(_STREAMS), draw(st.sampled_from(_PATHS))
    body = draw(st.sampled_from(_BODIES))
    frames = header_frames(stream, block(call_headers(path)))
    frames.append(frame(DATA, draw(st.sampled_from((END_STREAM, 0))), stream, body))
    if draw(chance(20)):
        frames.append(frame(RST_STREAM, 0, stream, struct.pack(">I", draw(_NUMBERS))))
    return b"".join(frames)


@st.composite
def _headers(draw: DrawFn) -> bytes:
    """A header block in one frame or several, or the beginning of one, with padding and priority, right or wrong."""
    stream, packed = draw(_STREAMS), block(call_headers(draw(st.sampled_from(_PATHS))))
    if draw(chance(20)):
        packed = draw(st.binary(max_size=40))
    frames = header_frames(stream, packed, end=draw(st.booleans()), at_most=draw(st.sampled_from((16_384, 40, 7))))
    if draw(chance(20)):
        frames = frames[: draw(st.integers(1, len(frames)))]
    if draw(chance(30)):
        flags, body = END_HEADERS, packed
        if draw(st.booleans()):
            flags, body = flags | WITH_PRIORITY, struct.pack(">IB", draw(_STREAMS), draw(st.integers(0, 255))) + body
        if draw(st.booleans()):
            flags, body = flags | PADDED, padded(body, 8, draw(st.sampled_from((8, 0, 7, 255))))
        frames = [frame(HEADERS, flags, stream, body)]
    return b"".join(frames)


@st.composite
def _data(draw: DrawFn) -> bytes:
    """DATA, with padding that is right or wrong."""
    stream, body = draw(_STREAMS), draw(st.sampled_from(_BODIES) | st.binary(max_size=100))
    flags = draw(st.sampled_from((0, END_STREAM)))
    if draw(chance(30)):
        padding = draw(st.sampled_from((0, 1, 255)))
        return frame(DATA, flags | PADDED, stream, padded(body, padding, draw(st.sampled_from((padding, 0, 200)))))
    return frame(DATA, flags, stream, body)


@st.composite
def _control(draw: DrawFn) -> bytes:
    """A frame about streams or the connection, most of them as long as they should be; some come many times over."""
    kind = draw(st.sampled_from((PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE)))
    body = _body(draw, kind)
    if draw(chance(10)):
        body = body[:-1] if draw(st.booleans()) else body + b"\0"
    own_stream = kind in (PRIORITY, RST_STREAM, PUSH_PROMISE) or (kind == WINDOW_UPDATE and draw(st.booleans()))
    stream = draw(_STREAMS) if own_stream or draw(chance(10)) else 0
    flags = draw(st.sampled_from((0, 0, 1))) if kind in (SETTINGS, PING) else 0
    if kind == SETTINGS and flags and not draw(chance(20)):
        body = b""  # what an answer to settings has
    return frame(kind, flags, stream, body) * draw(st.sampled_from((1, 1, 1, 1, 50)))


def _body(draw: DrawFn, kind: int) -> bytes:
    match kind:
        case 2:
            return struct.pack(">IB", draw(_STREAMS), draw(st.integers(0, 255)))
        case 4:
            return b"".join(struct.pack(">HI", *each) for each in draw(st.lists(_SETTINGS, max_size=4)))
        case 5:
            return struct.pack(">I", draw(_STREAMS)) + block(call_headers(CLASSIFY))
        case 6:
            return draw(st.binary(min_size=8, max_size=8))
        case 7:
            return struct.pack(">II", draw(_STREAMS), draw(_NUMBERS)) + draw(st.binary(max_size=20))
    return struct.pack(">I", draw(_NUMBERS))  # RST_STREAM, WINDOW_UPDATE


@st.composite
def _anything(draw: DrawFn) -> bytes:
    """A frame of a type that may not exist, which may claim another length than it has."""
    kind = draw(st.sampled_from((CONTINUATION, DATA, HEADERS)) | st.integers(0, 255))
    body, claimed = draw(st.binary(max_size=60)), None
    if draw(chance(20)):
        claimed = draw(st.sampled_from((0, len(body) + 1, 16_384, 16_385, 2**24 - 1)))
    return frame(kind, draw(_FLAGS), draw(_STREAMS), body, claimed)
