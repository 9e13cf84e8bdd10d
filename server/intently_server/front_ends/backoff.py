"""How long to wait before another front end is started in place of one that died."""

_FIRST_S = 0.1
_MOST_S = 60.0
_HEALTHY_S = 60.0  # who lived this long had started well


class Backoff:
    """Seconds to wait: next to none after the first death, then from a second on doubled with each."""

    def __init__(self) -> None:
        self._next_s = _FIRST_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a death, of a front end that had lived so long."""
        if lived_s >= _HEALTHY_S:
            self._next_s = _FIRST_S
        wait_s = self._next_s
        self._next_s = min(max(1.0, 2 * wait_s), _MOST_S)
        return wait_s
