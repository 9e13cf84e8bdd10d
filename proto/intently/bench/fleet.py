"""Starts the processes of a run, starts them together, gathers what they count, and ends them."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from intently.bench.plan import Plan
from intently.bench.recorder import Interval

START_IN_S = 0.3  # from the word to the start: every process has heard it by then
START_WITHIN_S = 60.0
_LONGEST_LINE = 64 << 20


@dataclass(slots=True)
class ProcessRecord:
    """What one process told.

    Attributes:
        name: What people call it.
        ending: Counts that are known at its end; None if it did not get there.
        fault: Why it ended too early; "" if it did not.
    """

    name: str
    ending: dict[str, int] | None = None
    fault: str = ""


class Fleet:
    """The processes of one run.

    Args:
        on_interval: Called with each process's number and interval as they come.
    """

    def __init__(self, plan: Plan, on_interval: Callable[[int, Interval], None]) -> None:
        self._plan = plan
        self._on_interval = on_interval
        self._processes: list[asyncio.subprocess.Process] = []
        self._ready: list[asyncio.Event] = []
        self._stopping = False
        self.records: list[ProcessRecord] = []

    async def run(self, stop: asyncio.Event, kill: asyncio.Event) -> None:
        """Runs the plan to its end.

        Args:
            stop: Set to end sooner, and in order.
            kill: Set to end at once.
        """
        await self._spawn()
        listeners = [asyncio.ensure_future(self._listen(number)) for number in range(len(self._processes))]
        watchers = [asyncio.ensure_future(self._stop_when(stop)), asyncio.ensure_future(self._kill_when(kill))]
        try:
            if await self._all_ready(listeners, stop):
                self._tell_all({"go": time.monotonic() + START_IN_S})
            else:
                self._stop()
            await asyncio.gather(*listeners)
        finally:
            for task in [*watchers, *listeners]:
                task.cancel()
            await asyncio.gather(*watchers, *listeners, return_exceptions=True)
            await self._reap()

    async def _spawn(self) -> None:
        for number in range(self._plan.processes):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "intently.bench.process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then stops them in order
            )
            self._processes.append(process)
            self._ready.append(asyncio.Event())
            self.records.append(ProcessRecord(f"process {number + 1}"))
            self._tell(process, {"plan": self._plan.to_json(), "index": number})

    async def _all_ready(self, listeners: "Sequence[asyncio.Future[None]]", stop: asyncio.Event) -> bool:
        ready = asyncio.ensure_future(self._ready_all())
        stopped = asyncio.ensure_future(stop.wait())
        first: list[asyncio.Future[Any]] = [ready, stopped, *listeners]
        try:
            await asyncio.wait(first, timeout=START_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            return ready.done()
        finally:
            ready.cancel()
            stopped.cancel()
            await asyncio.gather(ready, stopped, return_exceptions=True)

    async def _ready_all(self) -> None:
        for event in self._ready:
            await event.wait()

    async def _listen(self, number: int) -> None:
        """Takes in what one process tells, until it ends."""
        process, record = self._processes[number], self.records[number]
        assert process.stdout is not None  # noqa: S101  # asked for a pipe
        while line := await process.stdout.readline():
            self._take(number, json.loads(line))
        code = await process.wait()
        if record.ending is None and not record.fault and not self._stopping:
            record.fault = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if record.fault:
            self._stop()

    def _take(self, number: int, message: dict[str, Any]) -> None:
        record = self.records[number]
        if "interval" in message:
            self._on_interval(number, Interval.from_fields(message["interval"]))
        elif "ready" in message:
            self._ready[number].set()
        elif "failed" in message:
            record.fault = message["failed"]
        elif "done" in message:
            record.ending = message["done"]

    async def _stop_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stop()

    async def _kill_when(self, kill: asyncio.Event) -> None:
        await kill.wait()
        self._stopping = True
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._tell_all({"stop": True})

    def _tell_all(self, message: dict[str, Any]) -> None:
        for process in self._processes:
            self._tell(process, message)

    def _tell(self, process: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
        assert process.stdin is not None  # noqa: S101  # asked for a pipe
        with contextlib.suppress(ConnectionError):  # it has ended, which its listener hears
            process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _reap(self) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                if process.returncode is None:
                    process.kill()
            await process.wait()
