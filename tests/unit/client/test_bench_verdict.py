"""The load generator's word on itself: each sign that it was the limit is told, and nothing else is."""

from collections.abc import Callable

import pytest

from intently.bench.collector import Collector, Second
from intently.bench.fleet import ProcessRecord
from intently.bench.histogram import Histogram
from intently.bench.plan import Plan
from intently.bench.recorder import Interval, Phase
from intently.bench.result import Result, add_up
from intently.bench.studies.study import Run
from intently.bench.tally import Answer, Tally
from intently.bench.verdict import judge

OK = Answer(ok=True, items=((("OK", ""), 1),))


def window(
    *,
    latency_s: float = 0.02,
    lag_s: float = 0.0001,
    loop_lag_s: float = 0.0001,
    cpu_s: float = 0.5,
    held_back: int = 0,
    phase: Phase = Phase.WINDOW,
) -> Interval:
    """A second of one process, with a hundred sends."""
    measured, loop_lag = Tally(sent=100, held_back=held_back), Histogram()
    for _ in range(100):
        measured.count(OK, latency_s)
        measured.lag.record(lag_s)
        loop_lag.record(loop_lag_s)
    return Interval(0, phase, 1.0, cpu_s, cpu_s, 0, 0, Tally(), measured, loop_lag)


def result_of(*intervals: Interval, unsent: int = 0) -> Result:
    ending = {"unsent": unsent, "unfinished": 0, "lost": 0, "answered_twice": 0}
    collected = Collector(len(intervals))
    for number, interval in enumerate(intervals):
        collected.take(number, interval)
    return add_up([ProcessRecord(f"process {n + 1}", None if n else ending) for n in range(len(intervals))], collected)


@pytest.mark.parametrize(
    "make",
    [
        window,
        lambda: window(cpu_s=0.89),
        lambda: window(lag_s=0.0009),
        lambda: window(latency_s=0.5, lag_s=0.045, loop_lag_s=0.045),  # under a tenth of the median
        lambda: window(cpu_s=5.0, loop_lag_s=1.0, phase=Phase.WARM_UP),  # before the window
    ],
)
def test_a_generator_with_time_to_spare_is_not_blamed(make: Callable[[], Interval]) -> None:
    verdict = judge(result_of(make(), make()))
    assert not verdict.limited_by_generator
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: window(cpu_s=0.95), "process 2 used 95% of a core"),
        (lambda: window(lag_s=0.005), "sends began late: p99 5.0 ms, over 2.0 ms"),
        (lambda: window(loop_lag_s=0.005), "the event loop was late: p99 5.0 ms, over 2.0 ms"),
        (lambda: window(held_back=3), "3 sends waited for a place; raise --max-outstanding"),
    ],
)
def test_each_limit_of_the_generator_is_told(make: Callable[[], Interval], reason: str) -> None:
    verdict = judge(result_of(window(), make()))
    assert verdict.limited_by_generator
    assert [each for each in verdict.reasons if each.startswith(reason)]
    assert len(verdict.reasons) == 1


def test_a_target_in_the_generator_s_own_process_may_use_it() -> None:
    busy = result_of(window(cpu_s=1.5, loop_lag_s=0.3, lag_s=0.3))
    assert judge(busy).limited_by_generator
    assert not judge(busy, in_process=True).limited_by_generator
    assert judge(result_of(window(held_back=3)), in_process=True).limited_by_generator


def test_sends_that_wait_for_a_server_that_cannot_keep_up_are_no_sign_of_the_generator() -> None:
    waited = result_of(window(held_back=3, lag_s=0.5), unsent=4)
    assert len(judge(waited).reasons) == 3
    assert judge(waited).own == ()
    busy = result_of(window(held_back=3, cpu_s=0.95))
    assert [reason.partition(" used")[0] for reason in judge(busy).own] == ["process 1"]
    kept_up, overloaded = (Run("", Plan("", (), rate=rate), busy, judge(busy)) for rate in (100.0, 200.0))
    assert kept_up.limits == judge(busy).reasons
    assert overloaded.limits == judge(busy).own


def test_sends_that_never_began_are_told() -> None:
    assert judge(result_of(window(), unsent=4)).reasons == ("4 sends that were due never began",)


def test_a_run_that_measured_nothing_has_no_verdict() -> None:
    assert not judge(add_up([ProcessRecord("process 1", fault="no server answers")], Collector(1))).limited_by_generator


def test_rates_are_over_the_window_and_counts_over_all() -> None:
    result = result_of(window(), window(phase=Phase.AFTER))
    assert result.total.sent == 200
    assert (result.window_s, result.sent_per_s, result.answered_per_s) == (1.0, 100.0, 100.0)
    assert [each.phase for each in result.series] == [Phase.WINDOW, Phase.AFTER]
    assert [each.cpu for each in result.processes] == [0.5, 0.0]


def test_answers_to_the_warm_up_that_come_in_the_window_are_goodput_and_nothing_else() -> None:
    second = window()
    second.warm_up.count(OK, 3.0)
    result = result_of(second)
    assert result.answered_per_s == 101.0
    assert result.total.answered == 100
    assert result.total.latency.most < 1.0


def test_a_process_that_died_is_named() -> None:
    collected = Collector(2)
    collected.take(0, window())
    records = [ProcessRecord("process 1", fault="was killed by signal 9"), ProcessRecord("process 2")]
    result = add_up(records, collected)
    assert [each.fault for each in result.processes] == ["was killed by signal 9", ""]
    assert result.total.sent == 100
    assert [each.sent for each in result.series] == [100]  # a second of which not all have told


def test_a_second_is_complete_once_all_have_told_of_it() -> None:
    complete: list[Second] = []
    collected = Collector(2, complete.append)
    collected.take(0, window(latency_s=0.01))
    collected.take(0, window(phase=Phase.AFTER))
    assert complete == []
    collected.take(1, window(latency_s=0.03, cpu_s=0.7))
    [second] = complete
    assert (second.phase, second.sent, second.answered, second.cpu_s) == (Phase.WINDOW, 200, 200, 1.2)
    assert second.latency[50.0] == pytest.approx(0.01, rel=0.01)
    assert second.latency_max == pytest.approx(0.03, rel=0.01)
    assert [each.phase for each in collected.seconds()] == [Phase.WINDOW, Phase.AFTER]
