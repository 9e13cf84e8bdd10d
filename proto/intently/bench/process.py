"""One process of the load generator: reads its plan and commands from stdin, writes what it counts to stdout.

Lines of JSON both ways. In: the plan and the process's number; then for each leg {"go": START, "leg": …, "last": …},
which {"stop": SECONDS} ends sooner: nothing more is sent, and answers are waited for so long. The end of stdin ends the
process, so that it never outlives its parent. Out:
{"ready": true} or {"failed": WHY}, {"interval": …} about every second, {"done": …} at the end of a leg.
"""

import asyncio
import gc
import json
import os
import sys
import time
from typing import Any

import uvloop

from intently.bench.alarm import sleep_until
from intently.bench.leg import STOPPED_WAIT_S, Leg
from intently.bench.loops import ClosedLoop, Loop, OpenLoop
from intently.bench.meter import Meter
from intently.bench.plan import Plan, Share
from intently.bench.recorder import Recorder
from intently.bench.targets.opening import traffic_of
from intently.bench.targets.traffic import Traffic
from intently.errors import IntentlyError

_LONGEST_LINE = 256 << 20


class Parent:
    """The other end of stdin and stdout."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer
        self._coming: asyncio.Future[Any] | None = None

    @classmethod
    async def connect(cls) -> "Parent":
        """Takes over stdin and stdout, so that neither ever blocks the loop. What others print goes to stderr."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=_LONGEST_LINE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        ours = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        writer, _ = await loop.connect_write_pipe(asyncio.Protocol, ours)
        return cls(reader, writer)

    async def hear(self) -> Any:
        """The next line; None once there is none."""
        coming, self._coming = self.coming(), None
        return await coming

    def coming(self) -> "asyncio.Future[Any]":
        """The next line, which stays the next until it is heard."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._read())
        return self._coming

    def tell(self, **message: Any) -> None:
        """Writes a line, as long as there is somebody to read it."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> Any:
        line = await self._reader.readline()
        return json.loads(line) if line else None

    async def heard(self) -> None:
        """Returns once all was handed over."""
        while self._writer.get_write_buffer_size():  # noqa: ASYNC110  # a transport has no event for it
            await asyncio.sleep(0.005)


async def main() -> None:
    """The life of the process."""
    parent = await Parent.connect()
    first = await parent.hear()
    if first is not None:
        await _live(Plan.from_json(first["plan"]), first["index"], parent)
        await parent.heard()


async def _live(plan: Plan, index: int, parent: Parent) -> None:
    try:
        traffic = traffic_of(plan, plan.share(index))
        await traffic.open()
    except TimeoutError:
        parent.tell(failed=f"no server answers at {plan.address}")
        return
    except IntentlyError as error:
        parent.tell(failed=f"{plan.address} refuses: {error.code.name}: {error}")
        return
    gc.collect()
    gc.freeze()  # what is here stays: no collection looks at it again
    parent.tell(ready=True)
    while (command := await parent.hear()) is not None:
        if "go" not in command:
            continue  # a stop that came when the leg had ended
        leg = Leg(**command["leg"]).of(plan)
        counts = await _generate(leg, leg.share(index), traffic, parent, command["go"])
        lost, answered_twice = traffic.settle()
        if command["last"]:
            await traffic.close()
            answered_twice += traffic.settle()[1]  # while streams ended in order
        parent.tell(done={**counts, "lost": lost, "answered_twice": answered_twice})
        if command["last"]:
            return
    await traffic.close()


async def _generate(plan: Plan, share: Share, traffic: Traffic, parent: Parent, start: float) -> dict[str, int]:
    """Warm-up, window, and the last answers. Returns what was sent never, and what had no answer."""
    record_from = start + plan.warm_up_s
    end = None if plan.duration_s is None else record_from + plan.duration_s
    recorder = Recorder(record_from)
    await asyncio.sleep(start - time.monotonic() - 0.01)
    loop: Loop = (ClosedLoop if plan.rate is None else OpenLoop)(plan, share, start, recorder, traffic.call)
    meter = Meter(lambda interval: parent.tell(interval=interval.to_fields()), recorder, loop, start, record_from, end)
    cutting = asyncio.ensure_future(meter.run())
    stop, finished = parent.coming(), asyncio.ensure_future(loop.finished.wait())
    ends: list[asyncio.Future[Any]] = [] if plan.requests is None else [finished]
    ends += [] if end is None else [asyncio.ensure_future(sleep_until(end))]
    await asyncio.wait([stop, *ends], return_when=asyncio.FIRST_COMPLETED)
    loop.stop()
    meter.cut(time.monotonic() if end is None else min(end, time.monotonic()))
    meter.window_closed = True
    if not stop.done():
        patience = plan.timeout_s + STOPPED_WAIT_S
        await asyncio.wait([stop, finished], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        loop.stop(at_once=True)
        told = await parent.hear()
        await asyncio.wait([finished], timeout=STOPPED_WAIT_S if told is None else told["stop"])
    unsent, unfinished = await loop.close()
    for waiting in (cutting, *ends, finished):
        waiting.cancel()
    meter.close()
    return {"unsent": unsent, "unfinished": unfinished}


if __name__ == "__main__":
    uvloop.run(main())
