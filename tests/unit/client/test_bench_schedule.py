"""The load generator's schedules: the right rate, the right spread, and never a thing that depends on answers."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently.bench.plan import Arrivals, Plan
from intently.bench.schedule import bounded, constant, due_times, poisson

RATES = st.floats(min_value=0.5, max_value=5_000.0)
SEEDS = st.integers(min_value=0, max_value=2**32)


def plan(**fields: object) -> Plan:
    return Plan(**{"address": "", "utterances": ("hello",), **fields})  # type: ignore[arg-type]


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


@given(rate=RATES, seed=SEEDS)
def test_poisson_gaps_have_the_mean_and_the_spread_of_an_exponential(rate: float, seed: int) -> None:
    between = gaps([0.0, *itertools.islice(poisson(rate, 0.0, seed), 4000)])

    # of 4000 gaps the mean is within 10 % (6 standard errors), and the deviation, as large as the mean, within 20 %
    assert statistics.fmean(between) == pytest.approx(1 / rate, rel=0.10)
    assert statistics.pstdev(between) == pytest.approx(1 / rate, rel=0.20)
    assert all(gap >= 0 for gap in between)


@given(seed=SEEDS)
def test_a_seed_gives_the_same_arrivals_again(seed: int) -> None:
    first, again, other = (list(itertools.islice(poisson(50, 9.0, each), 20)) for each in (seed, seed, seed + 1))
    assert first == again != other


@given(rate=RATES, start=st.floats(min_value=0, max_value=1e6))
def test_a_constant_rate_does_not_drift(rate: float, start: float) -> None:
    times = list(itertools.islice(constant(rate, start), 1001))
    assert times[0] == start
    assert times[1000] == pytest.approx(start + 1000 / rate, abs=1e-9 * (start + 1))


@given(processes=st.integers(min_value=1, max_value=8), rate=st.integers(min_value=1, max_value=300))
def test_constant_schedules_of_several_processes_interleave_to_the_whole_rate(processes: int, rate: int) -> None:
    whole = plan(rate=float(rate), arrivals=Arrivals.CONSTANT, processes=processes, duration_s=2.0)
    times = sorted(t for index in range(processes) for t in due_times(whole, whole.share(index), 0.0))
    assert len(times) == 2 * rate
    assert gaps(times) == pytest.approx([1 / rate] * (len(times) - 1))


def test_poisson_processes_together_have_the_whole_rate_and_differ() -> None:
    whole = plan(rate=1000.0, processes=4, duration_s=20.0)
    parts = [list(due_times(whole, whole.share(index), 0.0)) for index in range(4)]
    assert sum(map(len, parts)) == pytest.approx(20_000, rel=0.03)
    assert len({part[0] for part in parts}) == 4


def test_the_warm_up_comes_before_the_duration() -> None:
    times = list(
        due_times(plan(rate=10.0, arrivals=Arrivals.CONSTANT, warm_up_s=2.0, duration_s=3.0), plan().share(0), 100.0)
    )
    assert (times[0], len(times)) == (100.0, 50)
    assert times[-1] < 105.0


@given(requests=st.integers(min_value=1, max_value=50), record_from=st.integers(min_value=0, max_value=20))
def test_requests_are_counted_after_the_warm_up(requests: int, record_from: int) -> None:
    times = list(bounded(constant(1.0, 0.0), float(record_from), None, requests))
    assert sum(due >= record_from for due in times) == requests
    assert sum(due < record_from for due in times) == record_from


@given(
    total=st.integers(min_value=1, max_value=1000),
    processes=st.integers(min_value=1, max_value=20),
)
def test_shares_add_up(total: int, processes: int) -> None:
    whole = plan(requests=total, concurrency=total, streams=total, processes=processes)
    shares = [whole.share(index) for index in range(processes)]
    assert sum(share.requests or 0 for share in shares) == total
    assert sum(share.concurrency for share in shares) == total
    assert sum(share.streams for share in shares) == total
    assert max(share.streams for share in shares) - min(share.streams for share in shares) <= 1


@given(
    utterances=st.lists(st.text(min_size=1), min_size=1, max_size=5),
    rate=st.none() | RATES,
    metadata=st.lists(st.tuples(st.text(), st.text()), max_size=3),
)
def test_a_plan_travels_whole(utterances: list[str], rate: float | None, metadata: list[tuple[str, str]]) -> None:
    sent = plan(utterances=tuple(utterances), rate=rate, metadata=tuple(metadata), requests=7)
    line = sent.to_json()
    assert "\n" not in line
    assert Plan.from_json(line) == sent


def test_a_plan_does_not_show_what_is_said_nor_the_metadata() -> None:
    shown = repr(plan(utterances=("my secret",), metadata=(("authorization", "Bearer abc"),)))
    assert "secret" not in shown
    assert "abc" not in shown


def test_a_closed_loop_has_no_schedule() -> None:
    with pytest.raises(ValueError, match="closed loop"):
        list(due_times(plan(), plan().share(0), 0.0))


@given(start=st.floats(0.0, 1e7), rate=st.sampled_from((10.0, 30.0, 40.0, 80.0)), tenths=st.integers(1, 9))
def test_how_many_are_due_depends_on_no_clock(start: float, rate: float, tenths: int) -> None:
    asked = plan(rate=rate, arrivals=Arrivals.CONSTANT, warm_up_s=0.1, duration_s=tenths / 10)

    times = list(due_times(asked, asked.share(0), start))

    assert len(times) == round(rate * (tenths + 1) / 10)
    assert sum(due >= start + asked.warm_up_s for due in times) == round(rate * tenths / 10)
