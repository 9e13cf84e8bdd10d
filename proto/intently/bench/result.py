"""A run, added up over its processes and seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from intently.bench.collector import Collector, ProcessTotal, Second
from intently.bench.fleet import ProcessRecord
from intently.bench.histogram import Histogram
from intently.bench.tally import Tally


@dataclass(frozen=True, slots=True)
class ProcessLoad:
    """How busy one process was in the window.

    Attributes:
        name: What people call it.
        cpu: Its processor time, all threads, as a share of one core.
        loop_cpu: That of its event loop's thread.
        sent: Sends that were measured.
        fault: Why it ended too early; "" if it did not.
    """

    name: str
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
    series: Sequence[Second]
    processes: Sequence[ProcessLoad]
    unsent: int
    unfinished: int
    lost: int
    answered_twice: int


def add_up(records: Sequence[ProcessRecord], collected: Collector) -> Result:
    """The result of what the processes told."""
    total, loop_lag = Tally(), Histogram()
    for each in collected.totals:
        total.add(each.measured)
        loop_lag.add(each.loop_lag)
    window_s = max((each.window_s for each in collected.totals), default=0.0)
    sent = total.sent - sum(each.sent_after_window for each in collected.totals)
    answered = sum(each.answered_in_window for each in collected.totals)
    return Result(
        total=total,
        window_s=window_s,
        sent_per_s=sent / window_s if window_s else 0.0,
        answered_per_s=answered / window_s if window_s else 0.0,
        loop_lag=loop_lag,
        series=collected.seconds(),
        processes=[_load(record, each) for record, each in zip(records, collected.totals, strict=True)],
        **{name: _sum_of(records, name) for name in ("unsent", "unfinished", "lost", "answered_twice")},
    )


def _load(record: ProcessRecord, told: ProcessTotal) -> ProcessLoad:
    return ProcessLoad(
        name=record.name,
        cpu=told.cpu_s / told.window_s if told.window_s else 0.0,
        loop_cpu=told.loop_cpu_s / told.window_s if told.window_s else 0.0,
        sent=told.measured.sent,
        fault=record.fault,
    )


def _sum_of(records: Sequence[ProcessRecord], name: str) -> int:
    return sum(record.ending[name] for record in records if record.ending is not None)
