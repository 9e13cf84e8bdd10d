"""The open loop: sends what is due, whatever became of what was sent before. Without clock, sockets or tasks."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator

BURST = 32  # sends without a look at the answers: after a stall, the loop must stay able to take them


class Pacer:
    """Starts sends at their times.

    A send that is due while `max_outstanding` are unanswered waits in line. It keeps the time at which it was due, so
    that its latency counts the wait.

    Args:
        due_times: When sends are due, rising.
        max_outstanding: How many may be unanswered at once.
        clock: Seconds, of the same clock as `due_times`.
        send: Starts the send that was due at that time; must not wait. `ended` is called once for each.
        on_held_back: Called with the time of each send that has to wait in line.
    """

    def __init__(
        self,
        due_times: Iterator[float],
        max_outstanding: int,
        clock: Callable[[], float],
        send: Callable[[float], None],
        on_held_back: Callable[[float], None],
    ) -> None:
        self._due_times = due_times
        self._max_outstanding = max_outstanding
        self._clock = clock
        self._send = send
        self._on_held_back = on_held_back
        self._next = next(due_times, None)
        self._line: deque[float] = deque()
        self.outstanding = 0

    @property
    def waiting(self) -> int:
        """Sends that are due and not begun."""
        return len(self._line)

    @property
    def over(self) -> bool:
        """Whether everything that was scheduled has become due."""
        return self._next is None

    def wake(self) -> float | None:
        """Begins what is due.

        Returns:
            When to wake it again, which may be past already; None once nothing more becomes due.
        """
        for _ in range(BURST):
            due = self._next
            if due is None or due > self._clock():
                break
            self._next = next(self._due_times, None)
            if self.outstanding < self._max_outstanding:
                self._begin(due)
            else:
                self._line.append(due)
                self._on_held_back(due)
        return self._next

    def ended(self) -> None:
        """Says that one send was answered or given up: the first in line takes its place."""
        self.outstanding -= 1
        if self._line:
            self._begin(self._line.popleft())

    def cut_off(self) -> None:
        """Ends the schedule now: what is due is still sent."""
        now = self._clock()
        self._due_times = itertools.takewhile(lambda due: due <= now, self._due_times)
        if self._next is not None and self._next > now:
            self._next = None

    def give_up(self) -> int:
        """Begins nothing more. Returns how many were due and never sent."""
        self.cut_off()
        unsent = len(self._line) + (self._next is not None) + sum(1 for _ in self._due_times)
        self._next = None
        self._line.clear()
        return unsent

    def _begin(self, due: float) -> None:
        self.outstanding += 1
        self._send(due)
