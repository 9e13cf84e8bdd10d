"""How long the engine takes at least: what a deadline must leave, however little waits."""

import math

_FASTEST_OF = 400  # answers after which those before them are forgotten


class Fastest:
    """The shortest time that one of the latest answers took inside the engine; 0.0 before the first."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._now = math.inf  # of those that are being counted
        self._count = 0

    def add(self, seconds: float) -> None:
        """One more answer. As many as are counted at a time are remembered once more."""
        self._now = min(self._now, seconds)
        self.seconds = min(self.seconds, seconds) if self.seconds else seconds
        self._count += 1
        if self._count == _FASTEST_OF:
            self.seconds, self._now, self._count = self._now, math.inf, 0
