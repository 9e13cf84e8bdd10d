"""The two loops of a process: open, which follows a schedule, and closed, which waits for each answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from intently.bench.alarm import Alarm, sleep_until
from intently.bench.pacer import Pacer
from intently.bench.plan import Plan, Shape, Share
from intently.bench.recorder import Recorder
from intently.bench.schedule import due_times
from intently.bench.tally import Answer

Call = Callable[[int], Awaitable[Answer]]  # sends once, by the connection or stream of that number


class Loop(Protocol):
    """What drives calls."""

    finished: asyncio.Event  # set once everything that was planned has been sent and answered

    @property
    def in_flight(self) -> int:
        """Sends without an answer."""
        ...

    @property
    def waiting(self) -> int:
        """Sends that are due and not begun."""
        ...

    def stop(self, *, at_once: bool = False) -> None:
        """Sends nothing that is not due by now; at once: nothing that is not begun."""
        ...

    async def close(self) -> tuple[int, int]:
        """Gives up. Returns how many were due and never sent, and how many were sent and not answered."""
        ...


class OpenLoop:
    """Sends at the times of the schedule, whatever the answers do.

    Args:
        start: When the warm-up begins, in seconds of the monotonic clock.
        call: Sends once.
    """

    def __init__(self, plan: Plan, share: Share, start: float, recorder: Recorder, call: Call) -> None:
        self._recorder = recorder
        self._call = call
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        self._given_up = 0
        self.finished = asyncio.Event()
        self._pacer = Pacer(
            due_times(plan, share, start), plan.max_outstanding, time.monotonic, self._send, recorder.held_back
        )
        self._alarm = Alarm(self._ring)
        self._alarm.at(start)

    @property
    def in_flight(self) -> int:
        """See `Loop`."""
        return self._pacer.outstanding

    @property
    def waiting(self) -> int:
        """See `Loop`."""
        return self._pacer.waiting

    def stop(self, *, at_once: bool = False) -> None:
        """See `Loop`."""
        self._pacer.cut_off()
        if at_once:
            self._given_up += self._pacer.give_up()
        self._finish_if_done()

    async def close(self) -> tuple[int, int]:
        """See `Loop`."""
        self._alarm.close()
        self._given_up += self._pacer.give_up()
        return self._given_up, await _cancel(self._tasks)

    def _ring(self) -> None:
        when = self._pacer.wake()
        if when is not None:
            self._alarm.at(when)
        self._finish_if_done()

    def _send(self, due: float) -> None:
        task = asyncio.get_running_loop().create_task(self._one(due, self._sent))
        self._sent += 1
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, due: float, number: int) -> None:
        self._recorder.sent(due, time.monotonic())
        answer = await self._call(number)
        self._recorder.ended(due, time.monotonic(), answer)
        self._pacer.ended()
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._pacer.over and not self._pacer.outstanding:
            self.finished.set()


class ClosedLoop:
    """Keeps so many calls under way: each answer is followed by the next call.

    Args:
        start: When the warm-up begins, in seconds of the monotonic clock.
        call: Sends once.
    """

    def __init__(self, plan: Plan, share: Share, start: float, recorder: Recorder, call: Call) -> None:
        self._recorder = recorder
        self._call = call
        self._record_from = start + plan.warm_up_s
        self._left = share.requests
        self._stopped = False
        self.in_flight = 0
        self.finished = asyncio.Event()
        width = share.concurrency * (share.streams if plan.shape is Shape.STREAM else 1)
        self._tasks = {asyncio.get_running_loop().create_task(self._repeat(start, number)) for number in range(width)}
        for task in self._tasks:
            task.add_done_callback(self._finish_if_done)

    @property
    def waiting(self) -> int:
        """See `Loop`."""
        return 0

    def stop(self, *, at_once: bool = False) -> None:  # noqa: ARG002  # nothing waits in line
        """See `Loop`."""
        self._stopped = True

    async def close(self) -> tuple[int, int]:
        """See `Loop`."""
        self._stopped = True
        unfinished = self.in_flight
        await _cancel(self._tasks)
        return 0, unfinished

    async def _repeat(self, start: float, number: int) -> None:
        await sleep_until(start)
        while not self._stopped:
            begun = time.monotonic()
            if self._left is not None and begun >= self._record_from:
                if self._left == 0:
                    return
                self._left -= 1
            self._recorder.sent_at_once(begun)
            self.in_flight += 1
            answer = await self._call(number)
            self._recorder.ended(begun, time.monotonic(), answer)
            self.in_flight -= 1

    def _finish_if_done(self, _: "asyncio.Task[None]") -> None:
        if all(task.done() for task in self._tasks):
            self.finished.set()


async def _cancel(tasks: set["asyncio.Task[None]"]) -> int:
    """Cancels what runs and waits for it. Returns how many ran."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return len(running)
