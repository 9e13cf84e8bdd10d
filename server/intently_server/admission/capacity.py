"""How fast the engine works when it has all it can take, measured from what it ends."""

import math
from dataclasses import dataclass

_WINDOW_S = 0.1  # busy seconds, and
_WINDOW_ENDS = 8  # ends, that a measurement takes at least
_PAUSE_S = 0.01  # busy seconds without an end, before which it then ends;
_LONGER_S = 0.05  # or busy seconds for which it goes on where there is no pause
_GROWTH = 1.1  # of what an engine may have, from one measurement to the next, after deadlines passed inside it
_MEMORY_S = 0.5  # busy seconds in which a measurement loses two thirds of its weight


class Capacity:
    """The rate at which work ends while the engine is full: while requests wait, here or in a proxy, or are refused, or
    while it holds many that stay too long.

    While it has less to do than it could, what ends tells only what came: one request at a time, each answered in
    10 ms, is no sign that a hundred at once would take a second. Such a measurement can raise the estimate, and neither
    lowers it nor lets it be told. The first of a full engine does not lower it either: the engine may have hung for a
    moment.

    Where more deadlines pass inside the engine than it gives answers, it has more than it answers in time, and what it
    ends tells nothing of its rate. Then it is given half as much, and more again, little by little, once that is over.

    Engines end requests by the batch, so a measurement goes from one pause to another: one that ended in the midst of
    a batch would tell of all the time that the batch took, and of a part of its requests.

    Args:
        many: Requests inside the engine, with fewer than which it is not full however long they stay.

    Attributes:
        throughput: Requests that ended in a busy second of late, full or not; None before the first measurement.
        most: Requests that the engine may have, by the deadlines that passed inside it.
        stay_s: Seconds that a request stayed inside it of late, on average; 0.0 before the first measurement.
    """

    def __init__(self, many: int) -> None:
        self.throughput: float | None = None
        self.most = math.inf
        self.stay_s = 0.0
        self._many = many
        self._requests_per_s = 0.0
        self._cost_per_s = 0.0
        self._is_full = self._was_full = False
        self._full_until = -math.inf
        self._busy_s = 0.0  # until `_since`
        self._since = 0.0
        self._window = _Window()

    @property
    def cost_per_s(self) -> float | None:
        """Cost that a full engine works off in a second; None until it was full."""
        return self._cost_per_s if self._was_full else None

    @property
    def requests_per_s(self) -> float | None:
        """Likewise, requests."""
        return self._requests_per_s if self._was_full else None

    def pressed(self, now: float) -> None:
        """A request was refused for want of room, or waited in a proxy: the engine is full for a measurement's time.

        Engines end requests by the batch: of many that end at once, all did so while it was full.
        """
        self._full_until = now + _WINDOW_S

    def begin(self, now: float) -> None:
        """The engine, idle until now, is given work."""
        if now - self._since > _WINDOW_S:
            self._is_full = False
        self._since = now

    def idle(self, now: float) -> None:
        """The engine has nothing to do from now on."""
        self._busy_s += now - self._since
        self._since = now

    def end(self, now: float, cost: float, inside_s: float, *, waiting: bool, late: bool) -> None:
        """One request was answered.

        Args:
            now: Monotonic seconds.
            cost: Its.
            inside_s: Seconds since the engine was given it.
            waiting: Whether others wait.
            late: Whether it stayed too long inside the engine.
        """
        busy_s = self._window_of(now)
        self._window.add(busy_s, cost, inside_s, full=waiting or now <= self._full_until, late=late)

    def expire(self, now: float, inside_s: float) -> None:
        """The deadline of a request passed inside the engine, which had time to answer it when it was given it."""
        self._window.expire(self._window_of(now), inside_s)

    def _window_of(self, now: float) -> float:
        """Busy seconds, of which the window is then."""
        busy_s = self._busy_s + now - self._since
        if self._window.is_over(busy_s):
            self._measure(self._window)
            self._window = _Window(self._window.last_s, self._window.last_s)
        return busy_s

    def _measure(self, window: "_Window") -> None:
        self.stay_s = window.inside_s / (window.ends + window.expired)
        if window.expired > window.ends:
            self.most = max(self._many, window.running / 2)
            return
        self.most *= _GROWTH
        full = window.is_of_full_engine(self._many)
        self.throughput = window.ends / window.seconds
        cost_per_s = window.cost / window.seconds
        if full and self._is_full:
            weight = 1 - math.exp(-window.seconds / _MEMORY_S)  # by its length, as it has its share of the work
            self._requests_per_s += weight * (self.throughput - self._requests_per_s)
            self._cost_per_s += weight * (cost_per_s - self._cost_per_s)
        else:
            self._requests_per_s = max(self._requests_per_s, self.throughput)
            self._cost_per_s = max(self._cost_per_s, cost_per_s)
        self._is_full = full
        self._was_full |= full


@dataclass(slots=True)
class _Window:
    """What ended in a time, which is told in the engine's busy seconds."""

    began_s: float = 0.0
    last_s: float = 0.0  # of the latest end
    enough_s: float = math.inf  # since when it can be measured
    ends: int = 0
    expired: int = 0
    late: int = 0
    full_s: float = 0.0  # up to ends while it was full
    cost: float = 0.0
    inside_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.last_s - self.began_s

    @property
    def running(self) -> float:
        return self.inside_s / self.seconds  # on average, by Little's law

    def is_over(self, now_s: float) -> bool:
        return self.enough_s < now_s and (now_s - self.last_s > _PAUSE_S or now_s - self.enough_s > _LONGER_S)

    def add(self, now_s: float, cost: float, inside_s: float, *, full: bool, late: bool) -> None:
        if full:
            self.full_s += now_s - self.last_s
        self.cost += cost
        self.ends += 1
        self.late += late
        self._go_on(now_s, inside_s)

    def expire(self, now_s: float, inside_s: float) -> None:
        self.expired += 1
        self._go_on(now_s, inside_s)

    def is_of_full_engine(self, many: int) -> bool:
        stayed_long = 2 * (self.late + self.expired) >= self.ends + self.expired
        return 2 * self.full_s >= self.seconds or (stayed_long and self.running >= many)

    def _go_on(self, now_s: float, inside_s: float) -> None:
        self.last_s = now_s
        self.inside_s += inside_s
        if self.ends + self.expired >= _WINDOW_ENDS and self.seconds >= _WINDOW_S:
            self.enough_s = min(self.enough_s, now_s)
