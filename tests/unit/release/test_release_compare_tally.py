"""What the disagreement report counts, and what holds for any replies."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intently.v1 import intent_service_pb2 as pb
from intently_release.colors import Color
from intently_release.compare.answers import AMBIGUOUS, MATCHED, OUT_OF_SCOPE, Answer, Decision, Reply, answer_of
from intently_release.compare.replay import Exchange
from intently_release.compare.report import Report, report_of
from intently_release.compare.tally import Tally
from intently_release.compare.utterances import Utterance, Utterances

BLUE, GREEN = Color.BLUE, Color.GREEN


def said(
    intent: str, confidence: float = 0.9, outcome: str = MATCHED, revision: str = "r", seconds: float = 0.01
) -> Reply:
    """An answer."""
    return Reply("OK", seconds, Answer(Decision(outcome, intent), confidence, revision))


def exchange(blue: Reply, green: Reply, line: int = 1, text: str = "a secret") -> Exchange:
    """Of an utterance on that line."""
    return Exchange(Utterance(line, pb.ClassifyRequest(text=text)), {BLUE: blue, GREEN: green})


def reported(*exchanges: Exchange, stable: Color = BLUE, confident: float = 0.8, keep: int = 0) -> Report:
    """What is said of them."""
    tally = Tally(stable, confident, keep)
    for each in exchanges:
        tally.add(each)
    return report_of(tally, Utterances(), with_utterances=keep > 0)


def test_nothing_is_no_share() -> None:
    report = reported()

    assert (report.sent, report.compared, report.differ) == (0, 0, 0)
    assert (report.differ_share, report.differ_wilson_95) == (None, None)
    assert report.mean_confidence_difference_where_they_agree is None
    assert report.stable.latency_ms == {"p50": None, "p99": None}


def test_each_kind_of_difference_is_counted_once() -> None:
    report = reported(
        exchange(said("pay"), said("pay")),
        exchange(said("pay"), said("alarm")),
        exchange(said("pay"), said("pay", outcome=AMBIGUOUS)),
        exchange(said("pay"), said("alarm", outcome=AMBIGUOUS)),
        exchange(said("pay"), said("", outcome=OUT_OF_SCOPE)),
        exchange(said("", outcome=OUT_OF_SCOPE), said("", outcome=OUT_OF_SCOPE)),
    )

    assert (report.compared, report.differ, report.differ_share) == (6, 4, 0.666667)
    assert (report.intents_differ, report.scopes_differ, report.ambiguity_differs) == (2, 1, 1)
    assert report.confident_differ == 2  # what is ambiguous is not confident


def test_pairs_go_from_stable_to_canary_the_most_frequent_first() -> None:
    replies = [(said("pay"), said("alarm")), (said("tea"), said("pay")), (said("tea"), said("pay"))]
    exchanges = [exchange(*each) for each in replies]

    there = [(*pair.texts, pair.count) for pair in reported(*exchanges).pairs]
    back = [(*pair.texts, pair.count) for pair in reported(*exchanges, stable=GREEN).pairs]

    assert there == [("tea", "pay", 2), ("pay", "alarm", 1)]
    assert back == [("pay", "tea", 2), ("alarm", "pay", 1)]


def test_only_what_both_answered_is_compared() -> None:
    report = reported(
        exchange(said("pay"), Reply("UNAVAILABLE", 0.1)),
        exchange(Reply("INVALID_ARGUMENT", 0.1), Reply("INVALID_ARGUMENT", 0.1)),
        exchange(said("pay"), said("pay")),
    )

    assert (report.sent, report.compared, report.differ) == (3, 1, 0)
    assert (report.stable.answered, report.stable.errors) == (2, {"INVALID_ARGUMENT": 1})
    assert (report.canary.answered, report.canary.errors) == (1, {"INVALID_ARGUMENT": 1, "UNAVAILABLE": 1})


def test_confidences_are_told_apart_where_they_differ_and_where_they_agree() -> None:
    report = reported(
        exchange(said("pay", 0.9), said("pay", 0.8)),
        exchange(said("pay", 0.5), said("pay", 0.8)),
        exchange(said("pay", 0.9502), said("alarm", 0.4001)),
    )

    assert report.mean_confidence_difference_where_they_agree == pytest.approx(0.2)
    assert report.stable.confidence_where_they_differ == {"p10": 0.951, "p50": 0.951, "p90": 0.951}
    assert report.canary.confidence_where_they_differ == {"p10": 0.401, "p50": 0.401, "p90": 0.401}
    assert report.confident_differ == 0


def test_revisions_and_latency_of_each_color_are_its_own() -> None:
    report = reported(
        exchange(said("pay", revision="new", seconds=0.1), said("pay", revision="other", seconds=0.2)),
        exchange(said("pay", revision="old", seconds=0.1), said("pay", revision="other", seconds=0.2)),
        exchange(said("pay", revision="new", seconds=0.1), said("pay", revision="other", seconds=0.2)),
    )

    assert (report.stable.revisions, report.canary.revisions) == (("new", "old"), ("other",))
    assert report.stable.latency_ms["p50"] == pytest.approx(100, rel=0.011)
    assert report.canary.latency_ms["p99"] == pytest.approx(200, rel=0.011)


def test_utterances_are_nowhere_unless_they_are_asked_for() -> None:
    differing = [
        exchange(said("pay", 0.1 * each), said("tea"), line=each, text=f"secret {each}") for each in range(1, 6)
    ]

    assert "secret" not in json.dumps(dataclasses.asdict(reported(*differing)))
    strongest = reported(*differing, keep=2).strongest

    assert strongest is not None
    assert [(each["line"], each["UTTERANCE"]) for each in strongest] == [(5, "secret 5"), (4, "secret 4")]


def test_of_equally_strong_ones_the_first_are_kept() -> None:
    strongest = reported(*(exchange(said("pay"), said("tea"), line=each) for each in (3, 1, 2, 4)), keep=2).strongest

    assert strongest is not None
    assert [each["line"] for each in strongest] == [1, 2]


@pytest.mark.parametrize(
    ("response", "decision", "confidence"),
    [
        (pb.ClassifyResponse(outcome=pb.OUTCOME_MATCHED), Decision(MATCHED, "pay"), 0.7),
        (pb.ClassifyResponse(outcome=pb.OUTCOME_AMBIGUOUS), Decision(AMBIGUOUS, "pay"), 0.7),
        (
            pb.ClassifyResponse(outcome=pb.OUTCOME_OUT_OF_SCOPE, out_of_scope_confidence=0.6),
            Decision(OUT_OF_SCOPE, ""),
            0.6,
        ),
    ],
)
def test_an_answer_is_what_a_caller_acts_on(
    response: pb.ClassifyResponse, decision: Decision, confidence: float
) -> None:
    response.predictions.add(intent="pay", confidence=0.7)
    response.model.revision = "abc"

    assert answer_of(response) == Answer(decision, confidence, "abc")


def test_an_answer_without_predictions_has_no_intent() -> None:
    assert answer_of(pb.ClassifyResponse(outcome=pb.OUTCOME_AMBIGUOUS)) == Answer(Decision(AMBIGUOUS, ""), 0.0, "")


def test_decisions_are_told_in_words() -> None:
    told = [str(Decision(outcome, "pay")) for outcome in (MATCHED, AMBIGUOUS, OUT_OF_SCOPE)]

    assert told == ["pay", "pay (ambiguous)", "(out of scope)"]


ANSWERS = st.builds(
    lambda intent, confidence, outcome: said("" if outcome == OUT_OF_SCOPE else intent, confidence, outcome),
    st.sampled_from(["pay", "tea", "alarm"]),
    st.floats(0, 1),
    st.sampled_from([MATCHED, AMBIGUOUS, OUT_OF_SCOPE]),
)
REPLIES = ANSWERS | st.sampled_from(["UNAVAILABLE", "DEADLINE_EXCEEDED"]).map(lambda status: Reply(status, 0.1))
EXCHANGES = st.lists(st.tuples(REPLIES, REPLIES), max_size=40).map(
    lambda pairs: [exchange(*pair, line=number) for number, pair in enumerate(pairs, start=1)]
)


@given(EXCHANGES, st.floats(0, 1), st.integers(0, 5))
def test_the_parts_sum_to_the_whole(exchanges: list[Exchange], confident: float, keep: int) -> None:
    report = reported(*exchanges, confident=confident, keep=keep)

    assert report.sent == len(exchanges)
    for color in (report.stable, report.canary):
        assert color.answered + sum(color.errors.values()) == report.sent
        assert report.compared <= color.answered
    assert report.intents_differ + report.scopes_differ + report.ambiguity_differs == report.differ
    assert sum(pair.count for pair in report.pairs) == report.differ <= report.compared
    assert all(pair.stable != pair.canary for pair in report.pairs)
    assert report.confident_differ <= report.differ
    assert len(report.strongest or ()) == min(keep, report.differ)


@given(EXCHANGES)
def test_who_is_stable_changes_the_sides_alone(exchanges: list[Exchange]) -> None:
    there, back = reported(*exchanges, stable=BLUE), reported(*exchanges, stable=GREEN)

    assert (there.stable, there.canary) == (back.canary, back.stable)
    assert there.differ_wilson_95 == back.differ_wilson_95
    assert there.confident_differ == back.confident_differ
    assert {(*pair.texts, pair.count) for pair in there.pairs} == {
        (*reversed(pair.texts), pair.count) for pair in back.pairs
    }


@given(st.lists(ANSWERS, max_size=30))
def test_a_color_never_differs_from_itself(replies: list[Reply]) -> None:
    report = reported(*(exchange(reply, reply) for reply in replies))

    assert (report.compared, report.differ) == (len(replies), 0)
    assert report.mean_confidence_difference_where_they_agree in (None, 0.0)
