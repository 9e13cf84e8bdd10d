"""Measures one process from inside: cuts its counts into seconds, and asks how busy and how late it is."""

import asyncio
import math
import time
from collections.abc import Callable

from intently.bench.alarm import Alarm, sleep_until
from intently.bench.histogram import Histogram
from intently.bench.loops import Loop
from intently.bench.recorder import Interval, Phase, Recorder

PROBE_EVERY_S = 0.02
_SHORT_S = 0.25  # an interval so short says nothing


class LoopProbe:
    """Measures how late the event loop calls back, every 20 ms."""

    def __init__(self) -> None:
        self._lag = Histogram()
        self._alarm = Alarm(self._ring)
        self._due = time.monotonic() + PROBE_EVERY_S
        self._alarm.at(self._due)

    def take(self) -> Histogram:
        """What it measured since it was called last."""
        taken, self._lag = self._lag, Histogram()
        return taken

    def close(self) -> None:
        """Measures no more."""
        self._alarm.close()

    def _ring(self) -> None:
        now = time.monotonic()
        self._lag.record(now - self._due)
        self._due = now + PROBE_EVERY_S
        self._alarm.at(self._due)


class Meter:
    """Cuts time into intervals, and tells of each.

    Args:
        tell: Takes each interval.
        start: When the warm-up begins.
        record_from: When it ends.
        end: When the window ends, where that is known.
    """

    def __init__(
        self,
        tell: Callable[[Interval], None],
        recorder: Recorder,
        loop: Loop,
        start: float,
        record_from: float,
        end: float | None,
    ) -> None:
        self._tell = tell
        self._recorder = recorder
        self._loop = loop
        self._record_from = record_from
        self._end = end
        self._probe = LoopProbe()
        self._mark = (start, time.process_time(), time.thread_time())
        self.window_closed = False

    async def run(self) -> None:
        """Cuts at the full seconds before and after the warm-up's end, until cancelled."""
        while True:
            at = self._record_from + math.floor(self._mark[0] - self._record_from + 1.001)
            await sleep_until(at)
            if self._end is not None and not self.window_closed and at > self._end - _SHORT_S:
                await asyncio.sleep(_SHORT_S)  # meanwhile the end of the window cuts
            else:
                self.cut(at)

    def cut(self, now: float) -> None:
        """Ends an interval at `now`, which may be a little past."""
        began, cpu, loop_cpu = self._mark
        cpu_now, loop_cpu_now = time.process_time(), time.thread_time()
        self._mark = now, cpu_now, loop_cpu_now
        warm_up, measured = self._recorder.take()
        middle = (began + now) / 2 - self._record_from
        interval = Interval(
            number=int(middle // 1.0),
            phase=Phase.AFTER if self.window_closed else Phase.WARM_UP if middle < 0 else Phase.WINDOW,
            wall_s=now - began,
            cpu_s=cpu_now - cpu,
            loop_cpu_s=loop_cpu_now - loop_cpu,
            in_flight=self._loop.in_flight,
            waiting=self._loop.waiting,
            warm_up=warm_up,
            measured=measured,
            loop_lag=self._probe.take(),
        )
        self._tell(interval)

    def close(self) -> None:
        """Ends the last interval, and its probe."""
        self.cut(time.monotonic())
        self._probe.close()
