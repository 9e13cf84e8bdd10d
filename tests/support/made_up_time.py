"""An event loop whose time is made up: what waits is waited for by no one, and a minute passes in a moment."""

import asyncio
import selectors


class _NeverWaits(selectors.DefaultSelector):
    """Looks what is there, and counts the seconds for which it should have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            self.slept_s += timeout
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        return found


class MadeUpTime(asyncio.SelectorEventLoop):
    """Begins at 100 s. Nothing of the outside can be waited for on it."""

    def __init__(self) -> None:
        self._never_waits = _NeverWaits()
        super().__init__(self._never_waits)

    def time(self) -> float:
        return 100.0 + self._never_waits.slept_s
