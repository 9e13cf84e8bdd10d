"""How long to wait before what died is started again."""

HEALTHY_S = 60.0
"""Who lived this long had started well: the next death is the first again."""


class Backoff:
    """Seconds to wait, doubled with each death.

    Args:
        first_s: After the first death.
        most_s: Never more.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s = min(first_s, most_s)
        self._most_s = most_s
        self._next_s = self._first_s

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a death, of a process that had lived so long."""
        if lived_s >= HEALTHY_S:
            self.reset()
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._most_s)
        return wait_s

    def reset(self) -> None:
        """Takes the next death for the first."""
        self._next_s = self._first_s
