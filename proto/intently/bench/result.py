"""A run, added up over its processes and seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from intently.bench.fleet import ProcessRecord
from intently.bench.histogram import Histogram
from intently.bench.recorder import Interval, Phase
from intently.bench.tally import Tally


@dataclass(frozen=True, slots=True)
class ProcessLoad:
    """How busy one process was in the window.

    Attributes:
        name: What people call it.
        pid: Its number in the system.
        cpu: Its processor time, all threads, as a share of one core.
        loop_cpu: That of its event loop's thread.
        sent: Sends that were measured.
        fault: Why it ended too early; "" if it did not.
    """

    name: str
    pid: int
    cpu: float
    loop_cpu: float
    sent: int
    fault: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a run measured.

    Attributes:
        total: All sends that were due after the warm-up.
        window_s: Seconds from the end of the warm-up until sending ended; 0.0 if it did not come so far.
        sent_per_s: Sends a second in the window.
        answered_per_s: Utterances answered a second in the window, whenever they were sent: the goodput.
        loop_lag: How late event loops called back, in the window.
        series: Seconds in order, each of all processes.
        processes: How busy each was.
        unsent: Sends that were due and never begun.
        unfinished: Sends that were begun and given up unanswered at the end.
        lost: Items of streams that never got an answer.
        answered_twice: Answers of streams that nobody waited for.
    """

    total: Tally
    window_s: float
    sent_per_s: float
    answered_per_s: float
    loop_lag: Histogram
    series: Sequence[Interval]
    processes: Sequence[ProcessLoad]
    unsent: int
    unfinished: int
    lost: int
    answered_twice: int

    @property
    def faults(self) -> list[str]:
        """Processes that ended too early, and why."""
        return [f"{each.name}: {each.fault}" for each in self.processes if each.fault]


def merge_seconds(records: Sequence[ProcessRecord]) -> list[Interval]:
    """The intervals of all processes, second by second."""
    merged: dict[tuple[str, int], Interval] = {}
    for record in records:
        for interval in record.intervals:
            key = interval.phase.value, interval.number
            if key in merged:
                merged[key].merge(interval)
            else:
                merged[key] = Interval.from_fields(interval.to_fields())
    order = list(Phase)
    return sorted(merged.values(), key=lambda interval: (order.index(interval.phase), interval.number))


def add_up(records: Sequence[ProcessRecord]) -> Result:
    """The result of what the processes told."""
    total, loop_lag = Tally(), Histogram()
    windows = [[each for each in record.intervals if each.phase is Phase.WINDOW] for record in records]
    for record in records:
        for interval in record.intervals:
            total.add(interval.measured)
    for interval in (each for window in windows for each in window):
        loop_lag.add(interval.loop_lag)
    window_s = max((sum(each.wall_s for each in window) for window in windows), default=0.0)
    answered = sum(each.warm_up.answered + each.measured.answered for window in windows for each in window)
    after = sum(each.measured.sent for record in records for each in record.intervals if each.phase is Phase.AFTER)
    return Result(
        total=total,
        window_s=window_s,
        sent_per_s=(total.sent - after) / window_s if window_s else 0.0,
        answered_per_s=answered / window_s if window_s else 0.0,
        loop_lag=loop_lag,
        series=merge_seconds(records),
        processes=[_load(record, window) for record, window in zip(records, windows, strict=True)],
        **{name: _sum_of(records, name) for name in ("unsent", "unfinished", "lost", "answered_twice")},
    )


def _load(record: ProcessRecord, window: Sequence[Interval]) -> ProcessLoad:
    wall_s = sum(each.wall_s for each in window)
    return ProcessLoad(
        name=record.name,
        pid=record.pid,
        cpu=sum(each.cpu_s for each in window) / wall_s if wall_s else 0.0,
        loop_cpu=sum(each.loop_cpu_s for each in window) / wall_s if wall_s else 0.0,
        sent=sum(each.measured.sent for each in record.intervals),
        fault=record.fault,
    )


def _sum_of(records: Sequence[ProcessRecord], name: str) -> int:
    return sum(record.ending[name] for record in records if record.ending is not None)
