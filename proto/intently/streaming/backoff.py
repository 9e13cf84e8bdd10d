"""How long to wait before a stream is opened again."""

import random
from collections.abc import Callable

_FIRST_S = 0.05
_LONGEST_S = 1.0


class Backoff:
    """Grows from failure to failure: nothing after the first, then doubling, with jitter.

    Args:
        jitter: A number from 0 to 1, another each time.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._failures = 0
        self._jitter = jitter

    def failed(self) -> float:
        """Counts a failure; returns the seconds to wait."""
        self._failures += 1
        if self._failures == 1:
            return 0.0
        pause_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(self._failures - 2, 10))
        return pause_s * (0.5 + 0.5 * self._jitter())

    def succeeded(self) -> None:
        """Forgets the failures."""
        self._failures = 0
