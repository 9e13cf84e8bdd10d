"""Counts how often each process dies while somebody waits for it. The supervisor counts anew with each new bundle."""

from collections import Counter
from collections.abc import Iterable

from intently_release.state import Observed

_MOST = 3


class Deaths:
    """Of all processes, since this was made.

    Args:
        observed: How they are then.
    """

    def __init__(self, observed: Observed) -> None:
        self._last = observed
        self._died: Counter[str] = Counter()

    @property
    def names(self) -> Iterable[str]:
        """Processes that were seen."""
        return self._last.keys()

    def see(self, observed: Observed) -> None:
        """Takes up how they are now."""
        for name, seen in observed.items():
            before = self._last[name].restarts if name in self._last else 0
            self._died[name] += seen.restarts - before if seen.restarts >= before else seen.restarts
        self._last = observed

    def too_often(self, name: str) -> str:
        """That it died too often to be waited for, in words; "" if it did not."""
        died = self._died[name]
        return f"died {died} times: {self._last[name].last_exit}" if died >= _MOST else ""
