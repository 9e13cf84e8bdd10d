"""Sends much on many streams at once, and no more than the server's windows let through."""

import asyncio
import contextlib

from hyperframe.frame import PingFrame, SettingsFrame, WindowUpdateFrame

from support.hostile.peer import Peer, data

_PIECE = 16_384
_INITIAL_WINDOW = 4
_QUIET_S = 2.0  # without a window from the server: it wants no more


class WindowedSender:
    """Bodies that are on their way, all of one connection.

    Args:
        peer: The connection; nobody else may read from it meanwhile.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._initial = self._connection = 65_535
        self._windows: dict[int, int] = {}
        self._bodies: dict[int, memoryview] = {}
        self._changed = asyncio.Event()

    def add(self, stream: int, body: bytes) -> None:
        """Lets a body be sent on a stream that has begun."""
        self._windows[stream] = self._initial
        self._bodies[stream] = memoryview(body)

    async def send_all(self) -> None:
        """Returns once all is sent, or the server gives no more room for it."""
        reading = asyncio.create_task(self._follow())
        try:
            while any(self._bodies.values()):
                self._changed.clear()
                if not await self._send_some():
                    async with asyncio.timeout(_QUIET_S):
                        await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _send_some(self) -> bool:
        sent = False
        for stream, body in self._bodies.items():
            size = min(_PIECE, len(body), self._windows[stream], self._connection)
            if size > 0:
                await self._peer.send(data(stream, bytes(body[:size])))
                self._bodies[stream] = body[size:]
                self._windows[stream] -= size
                self._connection -= size
                sent = True
        return sent

    async def _follow(self) -> None:
        async for frame in self._peer.frames():
            if isinstance(frame, WindowUpdateFrame):
                if frame.stream_id == 0:
                    self._connection += frame.window_increment
                elif frame.stream_id in self._windows:
                    self._windows[frame.stream_id] += frame.window_increment
            elif isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                await self._peer.send(SettingsFrame(0, flags=["ACK"]))
                self._set_initial(frame.settings.get(_INITIAL_WINDOW, self._initial))
            elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                await self._peer.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
            self._changed.set()

    def _set_initial(self, window: int) -> None:
        for stream in self._windows:
            self._windows[stream] += window - self._initial
        self._initial = window
