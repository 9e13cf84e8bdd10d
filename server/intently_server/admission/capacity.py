"""How fast the engine works when it has all it can take, measured from what it ends."""

import math

_WINDOW_S = 0.1  # busy seconds, and
_WINDOW_ENDS = 8  # ends, that a measurement takes at least
_MEMORY_S = 0.5  # busy seconds in which a measurement loses two thirds of its weight


class Capacity:
    """The rate at which work ends while the engine is full: while requests wait, here or in a proxy, or are refused.

    While it has less to do than it could, what ends tells only what came: one request at a time, each answered in
    10 ms, is no sign that a hundred at once would take a second. Such a measurement can raise the estimate, and neither
    makes one nor lowers it.

    Args:
        now: Monotonic seconds.

    Attributes:
        cost_per_s: Cost that a full engine works off in a second; None until it was full.
        requests_per_s: Likewise, requests.
        throughput: Requests that ended in a busy second of late, full or not; None before the first measurement.
    """

    def __init__(self, now: float) -> None:
        self.cost_per_s: float | None = None
        self.requests_per_s: float | None = None
        self.throughput: float | None = None
        self._full_until = -math.inf
        self._begin_window(now)

    def pressed(self, now: float) -> None:
        """A request was refused for want of room, or waited in a proxy: the engine is full for a measurement's time.

        Engines end requests by the batch: of many that end at once, all did so while it was full.
        """
        self._full_until = now + _WINDOW_S

    def begin(self, now: float) -> None:
        """The engine, idle until now, is given work."""
        self._since = now

    def idle(self, now: float) -> None:
        """The engine has nothing to do from now on."""
        self._busy_s += now - self._since
        self._since = now

    def end(self, now: float, cost: float, *, waiting: bool) -> None:
        """One request of that cost was answered; `waiting` tells whether others wait."""
        self._cost += cost
        self._ends += 1
        self._ends_while_full += waiting or now <= self._full_until
        busy_s = self._busy_s + now - self._since
        if busy_s >= _WINDOW_S and self._ends >= _WINDOW_ENDS:
            self._measure(busy_s)
            self._begin_window(now)

    def _measure(self, busy_s: float) -> None:
        full = 2 * self._ends_while_full >= self._ends
        self.throughput = self._ends / busy_s
        weight = 1 - math.exp(-busy_s / _MEMORY_S)  # by its length, as it has its share of the work
        self.requests_per_s = _renewed(self.requests_per_s, self.throughput, weight, full=full)
        self.cost_per_s = _renewed(self.cost_per_s, self._cost / busy_s, weight, full=full)

    def _begin_window(self, now: float) -> None:
        self._since, self._busy_s, self._cost, self._ends, self._ends_while_full = now, 0.0, 0.0, 0, 0


def _renewed(estimate: float | None, measured: float, weight: float, *, full: bool) -> float | None:
    if estimate is None:
        return measured if full else None
    if not full:
        return max(estimate, measured)
    return estimate + weight * (measured - estimate)
