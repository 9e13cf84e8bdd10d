"""The search for the highest rate that passes: bracketed, bisected, and confirmed. Without clock or sockets."""

import math

_UP, _DOWN = 1.3, 0.7
MOST_PROBES = 40


class RateSearch:
    """Says which rate to measure next, and is told whether it passed.

    What passes once may have been lucky: the rate found at the end is measured again, and must pass each time. If it
    does not, it counts as failed, and the search goes on below it.

    Args:
        first: The rate to begin with.
        precision: The search ends when the lowest rate that failed is at most so much above the highest that passed,
            as a share of it.
        confirmations: How often the rate found is measured again.
    """

    def __init__(self, first: float, precision: float, confirmations: int) -> None:
        self._first = first
        self._precision = precision
        self._confirmations = confirmations
        self._passed: list[float] = []
        self._confirmed = 0
        self._probes = 0
        self._given_up = False
        self.failed_above: float | None = None

    @property
    def found(self) -> float | None:
        """The highest rate that passed whenever it was measured."""
        return max(self._passed, default=None)

    @property
    def confirming(self) -> bool:
        """Whether the next probe repeats a rate that passed."""
        return self.next_rate() == self.found is not None

    @property
    def confirmed(self) -> bool:
        """Whether what was found was measured again as often as asked."""
        return self.found is not None and self._bracketed() and self._confirmed >= self._confirmations

    def next_rate(self) -> float | None:
        """The next rate to measure; None once the search is over."""
        low, high = self.found, self.failed_above
        if self.confirmed or self._given_up or self._probes >= MOST_PROBES:
            return None
        if low is None:
            return self._first if high is None else high * _DOWN
        if high is None:
            return low * _UP
        return low if self._bracketed() else math.sqrt(low * high)

    def tell(self, rate: float, passed: bool) -> None:
        """Takes in how the rate did that `next_rate` named."""
        self._probes += 1
        if passed:
            self._confirmed = self._confirmed + 1 if rate in self._passed else 0
            self._passed.append(rate)
            return
        self._confirmed = 0
        self.failed_above = rate if self.failed_above is None else min(rate, self.failed_above)
        self._passed = [each for each in self._passed if each < rate]

    def give_up(self) -> None:
        """Ends the search: what failed would fail at lower rates too."""
        self._given_up = True

    def _bracketed(self) -> bool:
        low, high = self.found, self.failed_above
        return low is not None and high is not None and high <= low * (1 + self._precision)
