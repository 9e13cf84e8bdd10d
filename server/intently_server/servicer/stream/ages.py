"""When streams are told to end: each at its greatest age, or all that are open sooner, so that they open elsewhere.

Weights of a release act only when a stream opens. A color that is kept after it, warm for a rollback, is told to let
its streams move: they are then as old as they may become.
"""

import asyncio
import contextlib
from collections.abc import Iterator

_MOVED_PER_S = 1000  # streams told in a second: each opens anew, where single calls are answered meanwhile


class StreamAge:
    """When one stream is told to end.

    Args:
        old_at: At which time of the event loop, at the latest.

    Attributes:
        is_over: Whether it was told.
    """

    def __init__(self, old_at: float) -> None:
        self._old_at = old_at
        self._waiting: asyncio.Timeout | None = None
        self.is_over = False

    def shorten(self, old_at: float) -> None:
        """Tells it then, if that is sooner."""
        self._old_at = min(self._old_at, old_at)
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._old_at)

    async def reached(self, unless: asyncio.Event) -> bool:
        """Returns once the stream is old: True; or once `unless` is set: False."""
        try:
            # Not wait_for, which in Python 3.11 forgets that it was cancelled if what it waits for comes just then.
            async with asyncio.timeout_at(self._old_at) as self._waiting:
                await unless.wait()
        except TimeoutError:
            return True
        finally:
            self.is_over = True
        return False


class StreamAges:
    """Those of all streams that are open, the oldest first."""

    def __init__(self) -> None:
        self._staying: dict[StreamAge, None] = {}  # and not told to move

    @contextlib.contextmanager
    def stream(self, max_age_s: float) -> Iterator[StreamAge]:
        """The age of a stream that is open while the block runs."""
        age = StreamAge(asyncio.get_running_loop().time() + max_age_s)
        self._staying[age] = None
        try:
            yield age
        finally:
            self._staying.pop(age, None)

    def move(self) -> tuple[int, float]:
        """Tells all streams that are open to end in order, one after the other; those opened later are not meant.

        Returns how many that are, without those told before, and over how many seconds they are told.
        """
        moving = [age for age in self._staying if not age.is_over]
        self._staying = {}
        now = asyncio.get_running_loop().time()
        for index, age in enumerate(moving):
            age.shorten(now + index / _MOVED_PER_S)
        return len(moving), len(moving) / _MOVED_PER_S
