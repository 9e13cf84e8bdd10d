"""A timer finer than the event loop's own.

asyncio and libuv round their timers to whole milliseconds, which would be added to every latency. Linux has timerfd:
some tens of microseconds late, and no thread. Elsewhere the loop's timer must do.
"""

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_LEAST_NS = 1  # a time of 0 would disarm the timer


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Calls back at a time of `time.monotonic`; one time is set at once.

    Args:
        ring: Called in the running loop.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._library = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._file: int | None = None
        if self._library is not None:
            self._file = int(self._library.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
            if self._file < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create failed")
            self._loop.add_reader(self._file, self._expired)

    def at(self, when: float) -> None:
        """Sets the time, in seconds; one that is past rings as soon as the loop is free."""
        if self._library is None or self._file is None:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_later(max(0.0, when - time.monotonic()), self._ring)
            return
        seconds, nanoseconds = divmod(max(_LEAST_NS, int(when * 1e9)), 1_000_000_000)
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        if self._library.timerfd_settime(self._file, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def close(self) -> None:
        """Rings no more."""
        if self._handle is not None:
            self._handle.cancel()
        if self._file is not None:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = None

    def _expired(self) -> None:
        if self._file is not None:
            with contextlib.suppress(BlockingIOError):  # set anew between the ring and this call
                os.read(self._file, 8)
                self._ring()


async def sleep_until(when: float) -> None:
    """Sleeps until `time.monotonic` says `when`: a little longer, never less, as uvloop's own timers may."""
    while (early := when - time.monotonic()) > 0:  # noqa: ASYNC110  # it is time that is waited for
        await asyncio.sleep(early)
