"""What the load generator counts: histograms and tallies of several processes add up to that of one."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently.bench.histogram import HIGHEST_US, Histogram
from intently.bench.recorder import Interval, Phase, Recorder
from intently.bench.tally import Answer, Tally

TIMES = st.lists(st.floats(min_value=0.0, max_value=700.0), max_size=60)
LABELS = st.tuples(st.sampled_from(["OK", "UNAVAILABLE", "INTERNAL"]), st.sampled_from(["", "DRAINING"]))
ANSWERS = st.lists(
    st.builds(
        Answer,
        ok=st.booleans(),
        items=st.lists(st.tuples(LABELS, st.integers(min_value=1, max_value=9)), max_size=3).map(tuple),
        outcomes=st.lists(st.sampled_from(["MATCHED", "AMBIGUOUS"]), max_size=2).map(tuple),
    ),
    max_size=20,
)
OK = Answer(ok=True, items=((("OK", ""), 1),))


def holding(times: list[float]) -> Histogram:
    histogram = Histogram()
    for each in times:
        histogram.record(each)
    return histogram


def figures(histogram: Histogram) -> list[float]:
    return [histogram.count, histogram.least, *histogram.percentiles().values(), histogram.most, histogram.mean]


def tallied(answers: list[Answer]) -> Tally:
    tally = Tally()
    for number, answer in enumerate(answers):
        tally.sent += 1
        tally.count(answer, 0.001 * (number + 1))
    return tally


@given(first=TIMES, second=TIMES)
def test_merged_histograms_are_one_histogram(first: list[float], second: list[float]) -> None:
    merged = Histogram()
    for part in (holding(first), holding(second)):
        merged.add(Histogram.decode(part.encode()))  # as it comes from a process
    assert figures(merged) == pytest.approx(figures(holding(first + second)), rel=0.002)
    assert merged.encode() == holding(first + second).encode()


@given(time_s=st.floats(min_value=2e-6, max_value=599.0))
def test_a_time_is_kept_to_three_digits(time_s: float) -> None:
    histogram = holding([time_s])
    for figure in (histogram.least, histogram.percentile(50), histogram.most, histogram.mean):
        assert figure == pytest.approx(time_s, rel=0.002, abs=1e-6)


def test_times_out_of_range_count_at_its_ends() -> None:
    histogram = holding([-1.0, 0.0, 3_600.0])
    assert histogram.count == 3
    assert histogram.least == pytest.approx(1e-6)
    assert histogram.most == pytest.approx(HIGHEST_US / 1e6, rel=0.001)


def test_an_empty_histogram_has_no_times() -> None:
    assert figures(Histogram()) == [0.0] * 10
    assert figures(Histogram.decode(Histogram().encode())) == [0.0] * 10


@given(first=ANSWERS, second=ANSWERS)
def test_tallies_add_up_and_travel_whole(first: list[Answer], second: list[Answer]) -> None:
    total = Tally()
    for part in (tallied(first), tallied(second)):
        total.add(Tally.from_fields(part.to_fields()))
    answers = first + second
    assert total.sent == len(answers)
    assert total.answered == sum(n for each in answers for (status, _), n in each.items if status == "OK")
    assert total.errors == sum(n for each in answers for (status, _), n in each.items if status != "OK")
    assert total.outcomes.total() == sum(len(each.outcomes) for each in answers)
    assert total.latency.count == sum(each.ok for each in answers)
    assert total.failed.count == len(answers) - total.latency.count


def test_a_send_belongs_to_the_phase_in_which_it_was_due() -> None:
    recorder = Recorder(record_from=10.0)
    recorder.sent(9.9, 10.5)
    recorder.held_back(9.9)
    recorder.sent(10.0, 10.5)
    recorder.ended(9.9, 11.0, OK)
    recorder.ended(10.0, 11.5, OK)

    warm_up, measured = recorder.take()

    assert (warm_up.sent, warm_up.held_back, warm_up.answered) == (1, 1, 1)
    assert (measured.sent, measured.held_back, measured.answered) == (1, 0, 1)
    assert measured.lag.most == pytest.approx(0.5, rel=0.001)
    assert measured.latency.most == pytest.approx(1.5, rel=0.001)
    assert [tally.sent for tally in recorder.take()] == [0, 0]


def test_intervals_of_processes_merge_and_travel_whole() -> None:
    intervals = [
        Interval(3, Phase.WINDOW, 1.0, 0.5, 0.4, 7, 2, Tally(), tallied([OK] * count), holding([0.001]))
        for count in (2, 3)
    ]
    first, second = (Interval.from_fields(each.to_fields()) for each in intervals)
    first.merge(second)
    assert (first.number, first.phase, first.wall_s, first.cpu_s) == (3, Phase.WINDOW, 1.0, 1.0)
    assert (first.in_flight, first.waiting, first.loop_lag.count) == (14, 4, 2)
    assert first.everything.answered == 5


def test_a_histogram_leaves_nothing_for_the_garbage_collector() -> None:
    kept = holding([0.5])  # keeps the array's type, which ctypes makes anew otherwise
    encoded = kept.encode()
    Histogram.decode(encoded)
    gc.collect()
    gc.disable()
    try:
        holding([0.5])
        Histogram.decode(encoded)
        assert gc.collect() == 0
    finally:
        gc.enable()
