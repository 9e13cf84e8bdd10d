"""Sends cases to a server, and tells how each ended."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
from hpack import Decoder, HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame

from intently.v1 import intent_service_pb2 as pb
from support.fuzz.calls import STREAMS, WATCHES
from support.fuzz.case import Case
from support.hostile.peer import BATCH, STREAM, Peer, connect

HANGS_S = 20.0  # no call takes as long, and no connection that its caller has half closed
NO_END = "NO END"
WROTE_TOO_LATE = "Internal error from Core"  # grpc.aio's own word to who writes to a stream that has just ended
_QUIET_S = 0.01  # longer than the engine in memory takes
_UNHEARD_S = 0.1  # before a ping is answered, if ever: it may be taken for something else
_WATCHED_S = 0.05
_MARK = b"fuzzed 1"
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
]
_CODES = {str(code.value[0]): code.name for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended, or an item or a request inside of it, or a connection.

    Attributes:
        what: A status of gRPC by its name; NO_END; or what HTTP/2 said.
        details: The status's message.
    """

    what: str
    details: str = ""


class Sender:
    """Sends cases from one event loop: calls on one connection of gRPC's client, all else on connections of their own.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def send(self, volley: Sequence[Case]) -> list[list[Ending]]:
        """Sends all at once; returns how each ended, in their order."""
        return list(await asyncio.gather(*(self._call(case) if case.path else self._write(case) for case in volley)))

    async def _call(self, case: Case) -> list[Ending]:
        channel: Any = self._channel
        call: Any
        if case.path in STREAMS:
            call = channel.stream_stream(case.path)(_each(case.pieces))
        elif case.path in WATCHES:
            call = channel.unary_stream(case.path)(case.pieces[0], timeout=_WATCHED_S)
        else:
            call = channel.unary_unary(case.path)(case.pieces[0])
        try:
            async with asyncio.timeout(HANGS_S):
                answers = [await call] if hasattr(call, "__await__") else [answer async for answer in call]
        except TimeoutError:
            call.cancel()
            return [Ending(NO_END)]
        except grpc.aio.AioRpcError as error:
            return [Ending(error.code().name, error.details() or "")]
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return [Ending("CANCELLED", WROTE_TOO_LATE)]  # grpc.aio's other word to them
        return [Ending("OK"), *(inside for answer in answers for inside in _inside(case.path, answer))]

    async def _write(self, case: Case) -> list[Ending]:
        try:
            peer = await connect(self._address, silent=True)
        except OSError as error:
            return [Ending("NOT CONNECTED", type(error).__name__)]
        async with peer:
            for piece in case.pieces:
                if not await peer.send_bytes(piece):
                    break
                await asyncio.sleep(0)
            try:
                async with asyncio.timeout(HANGS_S):
                    return await _hear_out(peer)
            except TimeoutError:
                return [Ending(NO_END)]
            except (HyperframeError, HPACKError) as error:
                return [Ending("NO HTTP/2", type(error).__name__)]


async def _hear_out(peer: Peer) -> list[Ending]:
    """What the server says until it falls silent, and then until it closes the connection that this side half closes.

    Raises:
        HyperframeError, HPACKError: for what is no HTTP/2.
    """
    endings: list[Ending] = []
    decoder, heard = Decoder(), asyncio.Event()
    decoder.max_allowed_table_size = 2**32 - 1  # what a case's settings may have asked for
    reading = asyncio.create_task(_read(peer, decoder, endings, heard))
    await peer.send_bytes(struct.pack(">HBBBI", 0, 8, 6, 0, 0) + _MARK)
    await asyncio.wait([reading], timeout=0)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _UNHEARD_S
    while not reading.done() and loop.time() < give_up:
        before = len(endings)
        await asyncio.wait([reading], timeout=_QUIET_S)
        if heard.is_set() and len(endings) == before:
            break
    closed = reading.done()
    peer.half_close()
    await reading
    return endings or [Ending("CLOSED" if closed else "SILENCE")]


async def _read(peer: Peer, decoder: Decoder, endings: list[Ending], heard: asyncio.Event) -> None:
    async for frame in peer.frames():
        if isinstance(frame, HeadersFrame):
            headers = {name: value.decode(errors="replace") for name, value in decoder.decode(frame.data, raw=True)}
            if b"grpc-status" in headers:
                status = headers[b"grpc-status"]
                endings.append(Ending(_CODES.get(status, status), headers.get(b"grpc-message", "")))
            elif headers.get(b":status", "200") != "200":
                endings.append(Ending(f"HTTP {headers[b':status']}"))
        elif isinstance(frame, RstStreamFrame) and frame.error_code:
            endings.append(Ending(f"RST_STREAM {frame.error_code}"))
        elif isinstance(frame, GoAwayFrame):
            endings.append(Ending(f"GOAWAY {frame.error_code}"))
        elif isinstance(frame, PingFrame) and frame.opaque_data == _MARK:
            heard.set()


def _inside(path: str, answer: bytes) -> list[Ending]:
    """The statuses inside an answer."""
    statuses = []
    if path == BATCH:
        statuses = [
            each.error for each in pb.BatchClassifyResponse.FromString(answer).results if each.HasField("error")
        ]
    elif path == STREAM:
        message = pb.ClassifyStreamResponse.FromString(answer)
        statuses = [message.error.status] if message.HasField("error") else []
    return [Ending(_CODES[str(status.code)], status.message) for status in statuses]


async def _each(messages: Sequence[bytes]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message
