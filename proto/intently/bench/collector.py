"""Adds up what processes tell while they tell it, so that a run of hours needs no more memory than one of minutes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from intently.bench.histogram import Histogram
from intently.bench.recorder import Interval, Phase
from intently.bench.tally import OK, Label, Tally


@dataclass(slots=True)
class ProcessTotal:
    """All that one process told.

    Attributes:
        measured: Of sends that were due after the warm-up.
        window_s: Seconds from the end of the warm-up until sending ended.
        cpu_s: Processor time in the window, all threads.
        loop_cpu_s: That of the event loop's thread.
        answered_in_window: Utterances answered in the window, whenever they were sent.
        sent_after_window: Of the measured sends, those that began after it.
        loop_lag: How late the event loop called back in the window.
    """

    measured: Tally = field(default_factory=Tally)
    window_s: float = 0.0
    cpu_s: float = 0.0
    loop_cpu_s: float = 0.0
    answered_in_window: int = 0
    sent_after_window: int = 0
    loop_lag: Histogram = field(default_factory=Histogram)

    def add(self, interval: Interval) -> None:
        """Adds an interval."""
        self.measured.add(interval.measured)
        if interval.phase is Phase.AFTER:
            self.sent_after_window += interval.measured.sent
        elif interval.phase is Phase.WINDOW:
            self.window_s += interval.wall_s
            self.cpu_s += interval.cpu_s
            self.loop_cpu_s += interval.loop_cpu_s
            self.answered_in_window += interval.warm_up.answered + interval.measured.answered
            self.loop_lag.add(interval.loop_lag)


@dataclass(frozen=True, slots=True)
class Second:
    """About a second of all processes, in figures. Times are in seconds.

    Attributes:
        number: Seconds since the warm-up ended; negative before.
        phase: When it was.
        wall_s: How long it was.
        sent: Sends begun.
        items: Utterances by how they ended.
        in_flight: Sends without an answer at its end.
        waiting: Sends that were due and not begun at its end.
        latency: Percentiles of the answers that came in it.
        latency_max: The greatest.
        lag_p99: Of the scheduling lag.
        loop_lag_p99: Of the loop lag.
        cpu_s: Processor time of all processes.
    """

    number: int
    phase: Phase
    wall_s: float
    sent: int
    items: Counter[Label]
    in_flight: int
    waiting: int
    latency: dict[float, float]
    latency_max: float
    lag_p99: float
    loop_lag_p99: float
    cpu_s: float

    @property
    def answered(self) -> int:
        """Utterances that were answered."""
        return sum(number for (status, _), number in self.items.items() if status == OK)

    @classmethod
    def of(cls, interval: Interval) -> "Second":
        """The figures of an interval."""
        everything = interval.everything
        return cls(
            number=interval.number,
            phase=interval.phase,
            wall_s=interval.wall_s,
            sent=everything.sent,
            items=everything.items,
            in_flight=interval.in_flight,
            waiting=interval.waiting,
            latency=everything.latency.percentiles(),
            latency_max=everything.latency.most,
            lag_p99=everything.lag.percentile(99),
            loop_lag_p99=interval.loop_lag.percentile(99),
            cpu_s=interval.cpu_s,
        )


class Collector:
    """Takes intervals from all processes.

    Args:
        processes: How many there are.
        on_second: Called with each second of which all have told.
    """

    def __init__(self, processes: int, on_second: Callable[[Second], None] = lambda _: None) -> None:
        self._on_second = on_second
        self._processes = processes
        self._incomplete: dict[tuple[Phase, int], tuple[Interval, int]] = {}  # and how many have told of it
        self._seconds: list[Second] = []
        self.totals = [ProcessTotal() for _ in range(processes)]

    def take(self, process: int, interval: Interval) -> None:
        """Takes a process's next interval; it is the collector's from now on."""
        self.totals[process].add(interval)
        key = interval.phase, interval.number
        joined, told = self._incomplete.pop(key, (None, 0))
        if joined is None:
            joined = interval
        else:
            joined.merge(interval)
        if told + 1 < self._processes:
            self._incomplete[key] = joined, told + 1
            return
        self._seconds.append(Second.of(joined))
        self._on_second(self._seconds[-1])

    def seconds(self) -> list[Second]:
        """All seconds in order; those too of which not all processes have told, as one that died."""
        order = list(Phase)
        rest = [Second.of(interval) for interval, _ in self._incomplete.values()]
        return sorted([*self._seconds, *rest], key=lambda second: (order.index(second.phase), second.number))
