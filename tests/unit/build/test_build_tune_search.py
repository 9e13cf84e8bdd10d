"""The search for settings: it finds the best of a made-up response, tries few, and keeps its time."""

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intently_build.tuning.candidate import Candidate, Found, Trial
from intently_build.tuning.search import Ladder, Outcome, Search

SEQUENCES = Ladder("max_sequences", [16, 32, 64, 128, 256, 512], 128)
TOKENS = Ladder("max_batched_tokens", [512, 1024, 2048, 4096, 8192, 16384], 2048)
GAIN = 0.05

Rate = Callable[[int, int], float]


class Measuring:
    """Measures by a formula, and counts."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self.asked: list[tuple[Candidate, float | None]] = []

    def __call__(self, candidate: Candidate, to_beat: float | None) -> Trial:
        self.asked.append((candidate, to_beat))
        rate = self._rate(candidate.max_sequences or 128, candidate.max_batched_tokens or 2048)
        if rate <= 0 or rate < (to_beat or 0.0):
            return Trial(candidate, None, to_beat)
        return Trial(candidate, Found(rate, rate * 1.05, 0.08, 0.03, rate), to_beat)


def search(rate: Rate, ladders: tuple[Ladder, ...] = (SEQUENCES, TOKENS), most: int = 99) -> tuple[Outcome, Measuring]:
    """Searches a response, with time for so many candidates."""
    measuring = Measuring(rate)
    outcome = Search(ladders, measuring, GAIN, lambda *_: len(measuring.asked) < most).run(Candidate())
    return outcome, measuring


def hill(sequences: int, tokens: int) -> Rate:
    """A response with its top there, which falls by a fifth or so with each doubling away from it."""

    def rate(s: int, t: int) -> float:
        return 1000 * math.exp(-0.2 * abs(math.log2(s / sequences)) - 0.25 * abs(math.log2(t / tokens)))

    return rate


@given(st.sampled_from(SEQUENCES.values), st.sampled_from(TOKENS.values))
def test_it_finds_the_top_of_a_hill(sequences: int, tokens: int) -> None:
    if sequences > tokens:
        return
    outcome, measuring = search(hill(sequences, tokens))

    best = outcome.best.candidate
    assert (best.max_sequences or 128, best.max_batched_tokens or 2048) == (sequences, tokens)
    assert len(measuring.asked) <= 14 < len(SEQUENCES.values) * len(TOKENS.values)
    assert outcome.ended == "nothing near it gains more than 5%"


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_whatever_the_response_none_is_measured_twice_and_the_best_is_what_was_found(chance: Random) -> None:
    response = {(s, t): chance.uniform(0, 1000) for s in SEQUENCES.values for t in TOKENS.values}

    def rate(sequences: int, tokens: int) -> float:
        return response[sequences, tokens]

    outcome, measuring = search(rate)

    asked = [candidate for candidate, _ in measuring.asked]
    assert len(asked) == len(set(asked)) == len(outcome.trials)
    assert outcome.best.rate == max(trial.rate for trial in outcome.trials)
    assert asked[0] == Candidate()


def test_the_first_has_nothing_to_beat_and_the_others_the_best_so_far() -> None:
    outcome, measuring = search(lambda s, _: 100.0 * s, (SEQUENCES,))

    assert outcome.best.candidate == Candidate(512, None)
    assert [to_beat for _, to_beat in measuring.asked] == [None, 12_800 * (1 + GAIN), 25_600 * (1 + GAIN)]


def test_a_gain_within_the_precision_is_none() -> None:
    outcome, measuring = search(lambda s, _: 100.0 + s / 100, (SEQUENCES,))

    assert outcome.best.candidate == Candidate()
    assert [candidate.max_sequences for candidate, _ in measuring.asked] == [None, 256, 64]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_when_time_is_up_the_best_so_far_stands(most: int) -> None:
    outcome, measuring = search(lambda s, t: 1.0 * s * t, most=most)

    assert len(measuring.asked) == most
    assert outcome.best == outcome.trials[-1]
    assert outcome.ended == "the time is up"


def test_where_the_first_keeps_the_latency_at_no_rate_another_may() -> None:
    outcome, _ = search(lambda s, _: 50.0 if s == 64 else 0.0)

    assert outcome.best.candidate.max_sequences == 64


def test_where_none_does_it_ends() -> None:
    outcome, measuring = search(lambda _s, _t: 0.0)

    assert outcome.best.found is None
    assert len(measuring.asked) == 5


def test_where_the_first_cannot_be_measured_it_ends_at_once() -> None:
    outcome = Search((SEQUENCES,), lambda c, _: Trial(c, None, reason="no memory"), GAIN, lambda *_: True).run(
        Candidate()
    )

    assert [trial.reason for trial in outcome.trials] == ["no memory"]


def test_without_anything_to_search_the_first_is_measured_alone() -> None:
    outcome, measuring = search(hill(16, 512), ())

    assert [candidate for candidate, _ in measuring.asked] == [Candidate()]
    assert outcome.ended == "all settings are given"


def test_no_step_is_smaller_than_its_prompts() -> None:
    _, measuring = search(hill(512, 256))

    both = [(each.max_sequences, each.max_batched_tokens) for each, _ in measuring.asked]
    assert [pair for pair in both if pair[0] and pair[1] and pair[0] > pair[1]] == []
