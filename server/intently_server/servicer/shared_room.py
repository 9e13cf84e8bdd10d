"""Room that all callers share, and that others cannot use up before one comes."""

from collections import Counter


class SharedRoom:
    """Counts what each caller holds, in whatever unit. Each may hold as much as it leaves free for others.

    Args:
        in_all: What all callers hold together, beyond what they are assured of.
        per_caller: What one holds at most, however much is free.
        assured: What each may hold whatever others hold; connections are bounded, and so this is.
    """

    def __init__(self, in_all: int, per_caller: int, assured: int) -> None:
        self._in_all = in_all
        self._per_caller = per_caller
        self._assured = assured
        self._taken = 0
        self._of: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """What all callers hold together."""
        return self._taken

    def holds(self, caller: str) -> int:
        """What this caller holds."""
        return self._of.get(caller, 0)

    def left(self, caller: str) -> int:
        """What this caller may still take; not above 0 if it may take nothing."""
        return max(self._assured, min(self._per_caller, self._in_all - self._taken)) - self.holds(caller)

    def take(self, caller: str, size: int) -> None:
        """Counts so much as held by the caller, whether there is room for it or not."""
        self._taken += size
        self._of[caller] += size

    def give_back(self, caller: str, size: int) -> None:
        """Counts so much as held no more."""
        self._taken -= size
        self._of[caller] -= size
        if not self._of[caller]:
            del self._of[caller]
