"""The bound on how often colors differ on mirrored calls: never over the truth, whatever was lost or pinned."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics import Counter as PrometheusCounter

from intently_release.colors import Color
from intently_release.compare.answers import AMBIGUOUS, MATCHED, OUT_OF_SCOPE, Decision
from intently_release.compare.bound import Bound, Sent, bound_of
from intently_release.compare.counted import Counted, counted_of
from intently_release.compare.exposition import Sample, samples
from intently_release.compare.mirrored import mirrored_report
from intently_release.compare.watching import Moment, within
from intently_release.errors import Refused

BLUE, GREEN = Color.BLUE, Color.GREEN
PAY, TEA, ALARM = (Decision(MATCHED, intent) for intent in ("pay", "tea", "alarm"))
METRICS = """# HELP intently_server_predictions_total Best intents of answers.
intently_server_predictions_total{intently_intent="pay",intently_outcome="matched",intently_revision="a"} 5.0
intently_server_predictions_total{intently_intent="out_of_scope",intently_outcome="out_of_scope"} 2.0
intently_server_predictions_total{intently_intent="pay",intently_outcome="ambiguous"} 1.0
intently_server_utterances_total{intently_outcome="matched",rpc_method="intently.v1.IntentService/Classify"} 4.0
intently_server_utterances_total{intently_outcome="matched",rpc_method="intently.v1.IntentService/BatchClassify"} 1.0
intently_server_utterances_total{intently_outcome="out_of_scope",rpc_method="intently.v1.IntentService/Classify"} 2.0
intently_server_utterances_total{intently_outcome="ambiguous",rpc_method="intently.v1.IntentService/Classify"} 4.0
intently_server_utterances_total{intently_outcome="error",rpc_method="intently.v1.IntentService/Classify"} 7.0
intently_server_confidence_bucket{intently_outcome="matched",le="0.5"} 1.0
intently_server_confidence_bucket{intently_outcome="matched",le="1.0"} 5.0
intently_server_confidence_bucket{intently_outcome="matched",le="+Inf"} 5.0
intently_server_confidence_bucket{intently_outcome="ambiguous",le="0.5"} 1.0
intently_server_confidence_bucket{intently_outcome="ambiguous",le="1.0"} 1.0
intently_server_confidence_bucket{intently_outcome="ambiguous",le="+Inf"} 1.0
"""


def counted(singles: int, **intents: int) -> Counted:
    """Answers to single calls."""
    return Counted(Counter({Decision(MATCHED, intent): count for intent, count in intents.items()}), singles)


def test_a_server_tells_what_it_decided() -> None:
    assert counted_of(METRICS) == Counted(
        Counter({PAY: 5, Decision(OUT_OF_SCOPE, ""): 2, Decision(AMBIGUOUS, "pay"): 1, Decision(AMBIGUOUS, ""): 3}),
        10,
        Counter({"0.5": 2, "1.0": 4}),
    )


def test_a_server_that_tells_nothing_has_counted_nothing() -> None:
    assert counted_of("") == counted_of("no metrics\nintently_server_active_calls 1.5\n") == Counted()


def test_what_was_added_is_found_again() -> None:
    once = counted_of(METRICS)
    twice = once + once

    assert twice.since(once) == once
    assert once.since(once) == Counted()
    assert once.since(twice) is None


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=20), st.integers(0, 10**6), max_size=5))
def test_any_label_is_read_as_it_was_written(counts: dict[str, int]) -> None:
    registry = CollectorRegistry()
    counter = PrometheusCounter("decided", "Text.", ["intent", "other"], registry=registry)
    for intent, count in counts.items():
        counter.labels(intent, 'a"b,c="d').inc(count)

    found = [each for each in samples(generate_latest(registry).decode()) if each.name == "decided_total"]

    assert {each.labels["intent"]: each.value for each in found} == counts
    assert all(each.labels["other"] == 'a"b,c="d' for each in found)


def test_what_is_no_sample_is_left_out() -> None:
    text = "# TYPE a counter\na 1\na{b=} x\nb nothing\n\nc 2 1700000000\n"

    assert list(samples(text)) == [Sample("a", {}, 1.0), Sample("c", {}, 2.0)]


@pytest.mark.parametrize(
    ("sent", "stable", "canary", "bound"),
    [
        (Sent(40), counted(40, pay=30, tea=10), counted(40, pay=10, tea=30), Bound(40, 20)),
        (Sent(40), counted(40, pay=20, tea=20), counted(40, tea=20, pay=20), Bound(40, 0)),
        (Sent(50), counted(40, pay=40), counted(40, tea=40), Bound(30, 30)),
        (Sent(40, 5, 3), counted(45, pay=45), counted(43, tea=43), Bound(40, 40)),
        (Sent(40), counted(40, pay=40), counted(0), Bound(0, 0)),
        (Sent(0), counted(0), counted(0), Bound(0, 0)),
    ],
)
def test_the_bound(sent: Sent, stable: Counted, canary: Counted, bound: Bound) -> None:
    assert bound_of(sent, stable, canary) == bound


DECISIONS = st.sampled_from([PAY, TEA, ALARM])
FEW = st.lists(DECISIONS, max_size=10)


@given(
    st.lists(st.tuples(DECISIONS | st.none(), DECISIONS | st.none()), max_size=60),
    FEW,
    FEW,
    FEW,
    st.tuples(*[st.integers(0, 5)] * 3),
)
def test_the_bound_is_never_over_the_truth(
    calls: list[tuple[Decision | None, Decision | None]],
    pinned_to_stable: list[Decision],
    pinned_to_canary: list[Decision],
    batch: list[Decision],
    too_many: tuple[int, int, int],
) -> None:
    of_stable = [stable for stable, _ in calls if stable] + pinned_to_stable
    of_canary = [canary for _, canary in calls if canary] + pinned_to_canary
    sent = Sent(len(calls) + too_many[0], len(pinned_to_stable) + too_many[1], len(pinned_to_canary) + too_many[2])

    bound = bound_of(
        sent,
        Counted(Counter(of_stable + batch), len(of_stable)),
        Counted(Counter(of_canary), len(of_canary)),
    )

    both = [(stable, canary) for stable, canary in calls if stable and canary]
    assert bound.both <= len(both)
    assert bound.differ <= sum(stable != canary for stable, canary in both)


@given(st.lists(st.tuples(DECISIONS, DECISIONS), min_size=1, max_size=60))
def test_where_nothing_was_lost_it_is_the_total_variation_distance(calls: list[tuple[Decision, Decision]]) -> None:
    stable, canary = (Counter(side) for side in zip(*calls, strict=True))
    distance = sum(abs(stable[each] - canary[each]) for each in (PAY, TEA, ALARM)) / 2 / len(calls)

    bound = bound_of(Sent(len(calls)), Counted(stable, len(calls)), Counted(canary, len(calls)))

    assert bound.share == pytest.approx(distance)


def envoy(weighted: int = 0, *, ended: int = 0, active: int = 0, copies: int = 0, **more: int) -> dict[str, int]:
    """Statistics, where all weighted calls go to blue."""
    single = "grpc.intently_v1_IntentService.Classify"
    return {
        f"cluster.blue-first.{single}.request_message_count": weighted,
        f"cluster.blue-first.{single}.total": ended,
        "cluster.blue-first.upstream_rq_retry": more.get("retries", 0),
        f"cluster.blue.{single}.request_message_count": more.get("to_blue", 0),
        f"cluster.blue.{single}.total": more.get("to_blue", 0),
        f"cluster.green.{single}.request_message_count": more.get("to_green", 0),
        f"cluster.green.{single}.total": more.get("to_green", 0),
        f"cluster.green-first.{single}.request_message_count": more.get("weighted_green", 0),
        "cluster.blue.upstream_rq_active": active,
        "cluster.green.upstream_rq_active": copies,
        "server.uptime": more.get("uptime", 10),
        "server.hot_restart_epoch": 0,
    }


def moment(statistics: dict[str, int], singles: int = 0, pids: tuple[int, ...] = (1, 2)) -> Moment:
    """When both colors had answered so many calls."""
    return Moment(statistics, dict.fromkeys(Color, counted(singles, pay=singles)), frozenset(pids))


def test_calls_under_way_when_it_begins_are_counted_too() -> None:
    before = moment(envoy(100, ended=95, active=20, copies=3), 90)
    after = moment(envoy(150, ended=150, to_blue=4, to_green=6, retries=2), 140)

    sent, found = within(before, after, BLUE)

    assert sent == Sent(calls=50 + 5 + 3 + 2, to_stable=4, to_canary=6)
    assert found == dict.fromkeys(Color, counted(50, pay=50))


def test_callers_that_gave_up_long_ago_are_not_under_way() -> None:
    sent, _ = within(moment(envoy(100, ended=40, active=1)), moment(envoy(150, ended=90)), BLUE)

    assert sent.calls == 51


@pytest.mark.parametrize(
    "after",
    [
        moment(envoy(3), 90),
        moment(envoy(200), 80),
        moment(envoy(200), 100, pids=(1, 3)),
        moment(envoy(200, uptime=1), 100),
        moment(envoy(200, weighted_green=1), 100),
    ],
)
def test_where_counts_are_lost_or_calls_not_the_same_nothing_is_said(after: Moment) -> None:
    with pytest.raises(Refused):
        within(moment(envoy(100), 90), after, BLUE)


def test_the_report_says_what_it_is() -> None:
    found = {BLUE: counted(40, pay=30, tea=10), GREEN: counted(40, pay=8, tea=10, alarm=22)}

    report = mirrored_report(BLUE, Sent(40), found, {BLUE: "old", GREEN: "new"}, 2.5)

    assert report.kind == "lower bound"
    assert (report.both_at_least, report.differ_at_least, report.differ_share_at_least) == (40, 22, 0.55)
    assert (report.stable.revision, report.canary.revision) == ("old", "new")
    decided = [(each.text, each.stable, each.canary) for each in report.decided]
    assert decided == [("alarm", 0, 22), ("pay", 30, 8), ("tea", 10, 10)]


def test_a_report_of_nothing_has_no_share() -> None:
    report = mirrored_report(BLUE, Sent(0), dict.fromkeys(Color, Counted()), {BLUE: "", GREEN: ""}, 1)

    assert (report.both_at_least, report.differ_share_at_least, report.decided) == (0, None, ())
