"""Starts the processes of a target, starts each leg in all of them together, gathers what they count, and ends them."""

import asyncio
import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from intently.bench.leg import STOPPED_WAIT_S, Leg
from intently.bench.plan import Plan
from intently.bench.recorder import Interval

START_IN_S = 0.3  # from the word to the start: every process has heard it by then
START_WITHIN_S = 60.0  # beside the wait for the server
END_WITHIN_S = 30.0
_LONGEST_LINE = 64 << 20

OnInterval = Callable[[int, Interval], None]


@dataclass(slots=True)
class ProcessRecord:
    """What one process told of a leg.

    Attributes:
        name: What people call it.
        ending: Counts that are known at its end; None if it did not get there.
        fault: Why it ended too early; "" if it did not.
    """

    name: str
    ending: dict[str, int] | None = None
    fault: str = ""


@dataclass(slots=True)
class _Member:
    """One process, and how far it is."""

    process: asyncio.subprocess.Process
    record: ProcessRecord
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)  # no leg is under way in it


class Fleet:
    """The processes of one target, with their connections open from one leg to the next.

    Args:
        stop: Set to end sooner, and in order.
        kill: Set to end at once.
    """

    def __init__(self, plan: Plan, stop: asyncio.Event, kill: asyncio.Event) -> None:
        self._plan = plan
        self._events = stop, kill
        self._members: list[_Member] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._on_interval: OnInterval = lambda _number, _interval: None
        self._ending = False

    async def __aenter__(self) -> "Fleet":
        """Starts the processes, and returns once all are connected, or one failed."""
        stop, kill = self._events
        for number in range(self._plan.processes):
            await self._spawn(number)
        self._tasks = [asyncio.ensure_future(self._listen(number)) for number in range(len(self._members))]
        self._watchers = [asyncio.ensure_future(self._when(stop, self._stop))]
        self._watchers += [asyncio.ensure_future(self._when(kill, self._kill))]
        await self._all_ready(stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the processes: in order if they got ready, or else at once."""
        self._ending = True
        for member in self._members:
            assert member.process.stdin is not None  # noqa: S101  # asked for a pipe
            member.process.stdin.close()
        if self.ready and error is None and not self._events[1].is_set():
            await asyncio.wait(self._tasks, timeout=END_WITHIN_S)
        for task in [*self._watchers, *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._watchers, *self._tasks, return_exceptions=True)
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                if member.process.returncode is None:
                    member.process.kill()
            await member.process.wait()

    @property
    def ready(self) -> bool:
        """Whether all processes are connected and none has ended."""
        return all(member.ready.is_set() and not member.record.fault for member in self._members)

    @property
    def records(self) -> list[ProcessRecord]:
        """What each told of the last leg."""
        return [dataclasses.replace(member.record) for member in self._members]

    async def measure(self, leg: Leg, on_interval: OnInterval, *, last: bool) -> list[ProcessRecord]:
        """Measures once; nothing if the processes are not ready.

        Args:
            on_interval: Called with each process's number and interval as they come.
            last: Whether no other leg comes: connections are closed in order before it counts as ended.
        """
        if not self.ready or self._events[0].is_set():
            return self.records
        self._on_interval = on_interval
        for member in self._members:
            member.record.ending = None
            member.idle.clear()
        self._tell_all({"go": time.monotonic() + START_IN_S, "leg": dataclasses.asdict(leg), "last": last})
        await asyncio.gather(*(member.idle.wait() for member in self._members))
        return self.records

    def cut_short(self) -> None:
        """Ends the leg that is under way, in order; answers that take long are not waited for."""
        self._tell_all({"stop": STOPPED_WAIT_S})

    def _stop(self) -> None:
        """The same for a user, who wants to know what became of all that was sent."""
        self._tell_all({"stop": self._plan.timeout_s + STOPPED_WAIT_S})

    async def _spawn(self, number: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "intently.bench.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops them in order
        )
        member = _Member(process, ProcessRecord(f"process {number + 1}"))
        self._members.append(member)
        self._tell(member, {"plan": self._plan.to_json(), "index": number})

    async def _all_ready(self, stop: asyncio.Event) -> None:
        ready = asyncio.gather(*(member.ready.wait() for member in self._members))
        stopped = asyncio.ensure_future(stop.wait())
        first: list[asyncio.Future[Any]] = [ready, stopped, *self._tasks]
        within_s = START_WITHIN_S + self._plan.wait_s
        try:
            if not (await asyncio.wait(first, timeout=within_s, return_when=asyncio.FIRST_COMPLETED))[0]:
                for member in self._members:
                    member.record.fault = "" if member.ready.is_set() else f"was not ready within {within_s:g} s"
        finally:
            ready.cancel()
            stopped.cancel()
            await asyncio.gather(ready, stopped, return_exceptions=True)

    async def _listen(self, number: int) -> None:
        """Takes in what one process tells, until it ends."""
        member = self._members[number]
        assert member.process.stdout is not None  # noqa: S101  # asked for a pipe
        while line := await member.process.stdout.readline():
            self._take(number, json.loads(line))
        code = await member.process.wait()
        done = member.record.ending is not None and code == 0
        if not done and not member.record.fault and not self._ending:
            member.record.fault = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        member.idle.set()
        if member.record.fault:
            self.cut_short()

    def _take(self, number: int, message: dict[str, Any]) -> None:
        member = self._members[number]
        if "interval" in message:
            self._on_interval(number, Interval.from_fields(message["interval"]))
        elif "ready" in message:
            member.ready.set()
        elif "failed" in message:
            member.record.fault = message["failed"]
        elif "done" in message:
            member.record.ending = message["done"]
            member.idle.set()

    async def _when(self, event: asyncio.Event, act: Callable[[], None]) -> None:
        await event.wait()
        act()

    def _kill(self) -> None:
        self._ending = True
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                member.process.kill()

    def _tell_all(self, message: dict[str, Any]) -> None:
        for member in self._members:
            self._tell(member, message)

    def _tell(self, member: _Member, message: dict[str, Any]) -> None:
        assert member.process.stdin is not None  # noqa: S101  # asked for a pipe
        with contextlib.suppress(ConnectionError, RuntimeError):  # it has ended, which its listener hears
            member.process.stdin.write(json.dumps(message).encode() + b"\n")
