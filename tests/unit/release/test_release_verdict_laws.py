"""What holds for the verdict on any canary: missing data is never a pass, and doing worse never helps."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from intently_release.config import Thresholds
from intently_release.judge.verdict import FAULTS, Outcome, judge
from intently_release.judge.window import Window
from intently_release.proxy.histogram import Bucket, Histogram

COUNT = st.integers(0, 2000)
FEW = st.integers(0, 5)
CODES = st.dictionaries(st.integers(0, 16), COUNT, max_size=5)
LATENCIES = st.dictionaries(st.integers(1, 300), st.integers(1, 2000), max_size=6).map(
    lambda counts: Histogram(tuple(Bucket(low, 1, count) for low, count in sorted(counts.items())))
)
THRESHOLDS = st.builds(
    Thresholds,
    min_requests=st.integers(1, 300),
    bad_share=st.floats(0, 1),
    bad_least=st.integers(1, 50),
    bad_times_stable=st.floats(1, 5),
    retry_share=st.floats(0, 1),
    retry_least=st.integers(1, 50),
    p99_times_stable=st.floats(1, 5),
    p99_least_ms=st.floats(0, 100),
    slow_least=st.integers(1, 50),
)
WINDOWS = st.builds(
    Window,
    seconds=st.floats(0, 60),
    codes=CODES,
    silent=st.just(0) | COUNT,
    unanswered=COUNT,
    singles=COUNT,
    retries=COUNT,
    overflow=COUNT,
    active=COUNT,
    healthy=FEW,
    pending=st.just(0) | FEW,
    total=FEW,
    ejected=st.just(0) | FEW,
    ejections=st.just(0) | FEW,
    latency=LATENCIES,
)
WELL = st.builds(lambda window, servers: well(window, servers), WINDOWS, st.integers(1, 5))


def well(window: Window, servers: int) -> Window:
    """The same traffic with servers that are all well, of which Envoy tells all latencies."""
    return replace(
        window,
        healthy=servers,
        total=servers,
        pending=0,
        ejected=0,
        ejections=0,
        singles=window.latency.count,
    )


SEVERITY = {Outcome.GOOD: 0, Outcome.TOO_FEW: 1, Outcome.UNKNOWN: 1, Outcome.BAD: 2}


@given(THRESHOLDS, WINDOWS, WINDOWS)
def test_every_verdict_says_why(thresholds: Thresholds, canary: Window, stable: Window) -> None:
    found = judge(thresholds, canary, stable)

    assert found.reasons
    assert all(reason.endswith(".") and "\n" not in reason for reason in found.reasons)


@given(THRESHOLDS, WINDOWS, WINDOWS, st.text(min_size=1), st.sampled_from(["canary", "stable", "both"]))
def test_missing_data_is_neither_good_nor_bad(
    thresholds: Thresholds, canary: Window, stable: Window, problem: str, whose: str
) -> None:
    canary = replace(canary, problem=problem if whose != "stable" else "")
    stable = replace(stable, problem=problem if whose != "canary" else "")

    assert judge(thresholds, canary, stable).kind is Outcome.UNKNOWN


@given(THRESHOLDS, WELL, WELL)
def test_too_few_calls_are_never_a_pass(thresholds: Thresholds, canary: Window, stable: Window) -> None:
    assume(canary.seen < thresholds.min_requests)

    assert judge(thresholds, canary, stable).kind is Outcome.TOO_FEW


@given(THRESHOLDS, WINDOWS, WINDOWS)
def test_an_ill_server_is_never_a_pass(thresholds: Thresholds, canary: Window, stable: Window) -> None:
    assume(canary.healthy < canary.total or canary.ejected or canary.ejections or canary.pending)

    assert judge(thresholds, canary, stable).kind in {Outcome.BAD, Outcome.UNKNOWN}


@given(THRESHOLDS, WELL, WELL, st.sampled_from(sorted(FAULTS)), st.data())
def test_failing_more_never_helps(
    thresholds: Thresholds, canary: Window, stable: Window, code: int, data: st.DataObject
) -> None:
    sound = canary.codes.get(0, 0)
    failing = data.draw(st.integers(0, sound))
    worse = replace(canary, codes={**canary.codes, 0: sound - failing, code: canary.codes.get(code, 0) + failing})

    before, after = judge(thresholds, canary, stable), judge(thresholds, worse, stable)

    assert SEVERITY[after.kind] >= SEVERITY[before.kind]


@given(THRESHOLDS, WELL, WELL, COUNT, COUNT)
def test_hiding_more_failures_never_helps(
    thresholds: Thresholds, canary: Window, stable: Window, retries: int, overflow: int
) -> None:
    worse = replace(canary, retries=canary.retries + retries, overflow=canary.overflow + overflow)

    before, after = judge(thresholds, canary, stable), judge(thresholds, worse, stable)

    assert SEVERITY[after.kind] >= SEVERITY[before.kind]


@given(THRESHOLDS, WELL, WELL, st.integers(0, 500))
def test_being_slower_never_helps(thresholds: Thresholds, canary: Window, stable: Window, by_ms: int) -> None:
    slower = Histogram(tuple(replace(bucket, low=bucket.low + by_ms) for bucket in canary.latency.buckets))

    before = judge(thresholds, canary, stable)
    after = judge(thresholds, replace(canary, latency=slower), stable)

    assert SEVERITY[after.kind] >= SEVERITY[before.kind]


@given(WELL)
def test_a_canary_that_fails_all_calls_is_never_a_pass(stable: Window) -> None:
    canary = well(Window(seconds=5, codes={13: 100}), 1)

    assert judge(Thresholds(), canary, stable).kind is Outcome.BAD


@given(WINDOWS, st.integers(50, 2000), st.integers(1, 5))
def test_a_sound_canary_is_never_bad(stable: Window, calls: int, servers: int) -> None:
    quick = Histogram((Bucket(4, 0.1, calls),))
    canary = well(Window(seconds=5, codes={0: calls}, latency=quick), servers)

    assert judge(Thresholds(), canary, stable).kind in {Outcome.GOOD, Outcome.UNKNOWN}
