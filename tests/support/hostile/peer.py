"""One connection that speaks HTTP/2 frame by frame, as badly as it is told to."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CLASSIFY = "/intently.v1.IntentService/Classify"
BATCH = "/intently.v1.IntentService/BatchClassify"
STREAM = "/intently.v1.IntentService/ClassifyStream"
CANCEL = 0x8
_MARK = b"heard it"
_BOUND_S = 15.0
_LARGEST_FRAME = 16_384

Headers = Sequence[tuple[str, str | bytes]]


class Peer:
    """A connection. Closing it is the block's end; a server that closes it first ends no method with an error.

    Args:
        settings: Of the SETTINGS frame at the start; None for not even the preface.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, settings: dict[int, int] | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._next_stream = 1
        if settings is not None:
            self._writer.write(PREFACE + SettingsFrame(settings=settings).serialize())

    async def __aenter__(self) -> "Peer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def send(self, *frames: Frame) -> bool:
        """Writes frames, headers in as many as they need; False once the server takes no more, or has gone."""
        return await self.send_bytes(b"".join(_serialized(frame) for frame in frames))

    async def send_bytes(self, data: bytes) -> bool:
        """Writes bytes; False once the server takes no more, or has gone."""
        if self._writer.is_closing():
            return False
        try:
            self._writer.write(data)
            async with asyncio.timeout(_BOUND_S):
                await self._writer.drain()
        except (ConnectionError, TimeoutError):
            return False
        return not self._reader.at_eof()

    def headers(self, path: str = CLASSIFY, *more: tuple[str, str | bytes]) -> HeadersFrame:
        """The beginning of a gRPC call on a stream of its own."""
        pseudo: Headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
        )
        return self.headers_of((*pseudo, ("te", "trailers"), ("content-type", "application/grpc"), *more))

    def headers_of(self, headers: Headers, *flags: str) -> HeadersFrame:
        """These headers, and no others, on a stream of their own."""
        frame = HeadersFrame(self._next_stream, self._encoder.encode(headers, huffman=False))
        for flag in flags or ("END_HEADERS",):
            frame.flags.add(flag)
        self._next_stream += 2
        return frame

    def call(self, path: str, message: bytes, *more: tuple[str, str | bytes], end: bool = True) -> list[Frame]:
        """The frames of a whole call with one message."""
        headers = self.headers(path, *more)
        return [headers, data(headers.stream_id, framed(message), end=end)]

    async def heard(self) -> bool:
        """Waits until the server has read all that was sent; False if it has gone instead, or takes too long."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_BOUND_S):
                await self.send(PingFrame(0, _MARK))
                async for frame in self.frames():
                    if isinstance(frame, PingFrame) and frame.opaque_data == _MARK:
                        return True
        return False

    async def frames(self) -> AsyncIterator[Frame]:
        """What the server sends, until it ends the connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self._reader.readexactly(9)
                frame, length = Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                yield frame

    async def ended(self) -> bool:
        """Whether the server ends the connection, within a bounded time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BOUND_S):
                while await self._read_some():
                    pass
                return True
        return False

    def half_close(self) -> None:
        """Ends this side of the connection; the other goes on."""
        if not self._writer.is_closing():
            self._writer.write_eof()

    def reset(self) -> None:
        """Ends the connection by a TCP reset."""
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _read_some(self) -> bytes:
        try:
            return await self._reader.read(1 << 16)
        except ConnectionError:
            return b""


async def connect(address: str, settings: dict[int, int] | None = None, *, silent: bool = False) -> Peer:
    """Opens a connection.

    Args:
        address: HOST:PORT of the server.
        settings: Of the SETTINGS frame.
        silent: Send nothing by itself: neither preface nor settings.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    return Peer(reader, writer, None if silent else settings or {})


def _serialized(frame: Frame) -> bytes:
    """The frame's bytes; headers that are too long for one frame go on in CONTINUATION frames."""
    if not isinstance(frame, HeadersFrame) or len(frame.data) <= _LARGEST_FRAME:
        return frame.serialize()
    block, last = frame.data, "END_HEADERS" in frame.flags
    frame.flags.discard("END_HEADERS")
    frames: list[Frame] = [frame]
    frame.data = block[:_LARGEST_FRAME]
    rest = range(_LARGEST_FRAME, len(block), _LARGEST_FRAME)
    frames.extend(ContinuationFrame(frame.stream_id, block[at : at + _LARGEST_FRAME]) for at in rest)
    if last:
        frames[-1].flags.add("END_HEADERS")
    return b"".join(each.serialize() for each in frames)


def framed(message: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message; `length` is the one that it claims."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


def data(stream: int, body: bytes, *, end: bool = False) -> DataFrame:
    """A DATA frame."""
    frame = DataFrame(stream, body)
    if end:
        frame.flags.add("END_STREAM")
    return frame


def cancelled(stream: int) -> RstStreamFrame:
    """A RST_STREAM frame as a caller sends that does not want the answer any more."""
    return RstStreamFrame(stream, CANCEL)
