"""HTTP/2 frames as bytes, whatever the standard says of them, and what gRPC puts into them."""

import struct
from collections.abc import Sequence

from hpack import Encoder

from support.hostile.peer import PREFACE

Header = tuple[str | bytes, str | bytes]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x4, 0x8, 0x20
LARGEST = 16_384  # of a frame, unless a server allows more
BEGIN = PREFACE + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0))


def frame(kind: int, flags: int, stream: int, body: bytes, length: int | None = None) -> bytes:
    """Any frame; `length` is the one that it claims."""
    claimed = len(body) if length is None else length
    return struct.pack(">I", claimed)[1:] + struct.pack(">BBI", kind, flags, stream) + body


def block(headers: Sequence[Header]) -> bytes:
    """Headers, compressed so that they need none that were sent before."""
    return bytes(Encoder().encode(headers, huffman=False))


def call_headers(path: str, *more: Header) -> Sequence[Header]:
    """The headers of a gRPC call."""
    pseudo = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"))
    return (*pseudo, ("te", "trailers"), ("content-type", "application/grpc"), *more)


def header_frames(stream: int, packed: bytes, *, end: bool = False, at_most: int = LARGEST) -> list[bytes]:
    """HEADERS, and as many CONTINUATION frames as the block needs."""
    parts = [packed[at : at + at_most] for at in range(0, max(1, len(packed)), at_most)]
    last = len(parts) - 1
    return [
        frame(
            CONTINUATION if number else HEADERS,
            (END_HEADERS if number == last else 0) | (END_STREAM if end and not number else 0),
            stream,
            part,
        )
        for number, part in enumerate(parts)
    ]


def padded(body: bytes, padding: int, claimed: int | None = None) -> bytes:
    """A body with so many bytes of padding; `claimed` is what it says of them."""
    return bytes((padding if claimed is None else claimed,)) + body + bytes(padding)
