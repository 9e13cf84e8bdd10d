"""The engine core of `shared_paced_engine.py`, in a process of its own. It imports nothing that is slow.

    python paced_core.py STEP_S BATCH PATH...

A PATH is where whoever takes that seat will listen; the core connects there once, as vLLM's does. Lines that come: a
number asks for an answer, with a minus before it takes that back. Lines that go: "ready" first, then each number when
its step is over, and after each step, to one seat alone, "=" and how many are in the next and how many wait.
"""

import asyncio
import contextlib
import sys
from collections import deque

_TRIES_EVERY_S = 0.02


class Core:
    """Ends `batch` requests every `step_s` seconds, in the order in which they came."""

    def __init__(self, step_s: float, batch: int) -> None:
        self._step_s = step_s
        self._batch = batch
        self._waiting: deque[tuple[asyncio.StreamWriter, str]] = deque()
        self._work = asyncio.Event()

    async def run(self) -> None:
        """Works for ever."""
        while True:
            self._work.clear()
            while self._waiting:
                step = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
                await asyncio.sleep(self._step_s)
                for seat, number in step:
                    seat.write(f"{number}\n".encode())
                next_step = min(self._batch, len(self._waiting))
                step[0][0].write(f"={next_step} {len(self._waiting) - next_step}\n".encode())
            await self._work.wait()

    async def serve(self, path: str) -> None:
        """Takes what whoever sits there asks."""
        while True:
            try:
                lines, seat = await asyncio.open_unix_connection(path)
                break
            except OSError:
                await asyncio.sleep(_TRIES_EVERY_S)
        seat.write(b"ready\n")
        with contextlib.suppress(ConnectionError):  # whoever sat there was killed
            while line := (await lines.readline()).decode().strip():
                if not line.startswith("-"):
                    self._waiting.append((seat, line))
                    self._work.set()
                elif (seat, line[1:]) in self._waiting:  # else it is in a step
                    self._waiting.remove((seat, line[1:]))


async def main(step_s: float, batch: int, paths: list[str]) -> None:
    """Until it is killed."""
    core = Core(step_s, batch)
    await asyncio.gather(core.run(), *(core.serve(path) for path in paths))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
