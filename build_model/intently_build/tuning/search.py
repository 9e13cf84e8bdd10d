"""The search for the settings with the highest rate: one setting at a time, up and down a ladder of doublings.

Each candidate costs a start of the server, so few are tried. One that cannot keep the latency at the rate that is to be
beaten costs a single measurement more; only of one that can is the rate searched. A direction is followed while it
gains; the search ends when a round over all settings gained nothing, or when time is up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from intently_build.tuning.candidate import Axis, Candidate, Trial

Measure = Callable[[Candidate, float | None], Trial]
GoesOn = Callable[[Candidate, float | None], bool]


@dataclass(frozen=True)
class Ladder:
    """The values of one setting.

    Attributes:
      axis: its name.
      values: rising.
      default: about what vLLM takes where nobody says: where the search begins. Nothing but its way depends on it.
    """

    axis: Axis
    values: Sequence[int]
    default: int

    def place(self, value: int | None) -> int:
        """Returns where on the ladder a value is, or the nearest below it."""
        return max(0, sum(each <= (value or self.default) for each in self.values) - 1)


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
      trials: in the order in which they were measured.
      best: the one with the highest rate.
      ended: why the search ended.
    """

    trials: tuple[Trial, ...]
    best: Trial
    ended: str


class Search:
    """One search.

    Args:
      ladders: of the settings that may be changed; none leaves only the first candidate.
      measure: measures a candidate. With a rate, it says first whether the candidate keeps the latency there.
      gain: the share by which a rate must be higher to count: what is measured is known to no more.
      goes_on: whether there is time for that candidate.
    """

    def __init__(self, ladders: Sequence[Ladder], measure: Measure, gain: float, goes_on: GoesOn) -> None:
        self._ladders = ladders
        self._measure = measure
        self._gain = gain
        self._goes_on = goes_on
        self._trials: dict[Candidate, Trial] = {}
        self._in_time = True

    def run(self, first: Candidate) -> Outcome:
        """Returns what is best, beginning with a candidate that is measured in any case, and alone if it cannot be."""
        best = self._trials[first] = self._measure(first, None)
        gained = not best.reason  # if not even this can be measured, others tell nothing
        while gained and self._in_time:
            gained = False
            for ladder in self._ladders:
                better = self._climb(ladder, best)
                gained, best = gained or better is not best, better
        ended = f"nothing near it gains more than {self._gain:.0%}" if self._in_time else "the time is up"
        return Outcome(tuple(self._trials.values()), best, ended if self._ladders else "all settings are given")

    def _climb(self, ladder: Ladder, best: Trial) -> Trial:
        """Returns the best that can be reached along one setting."""
        for step in (1, -1):
            before = best
            while (better := self._step(ladder, best, step)) is not None:
                best = better
            if best is not before:
                return best
        return best

    def _step(self, ladder: Ladder, best: Trial, step: int) -> Trial | None:
        """Returns the neighbour, if it is better; None if it is not, is not there, or time is up."""
        place = ladder.place(getattr(best.candidate, ladder.axis)) + step
        if not 0 <= place < len(ladder.values):
            return None
        candidate = best.candidate.along(ladder.axis, ladder.values[place])
        if candidate in self._trials or not _can_be(candidate):
            return None
        to_beat = best.rate * (1 + self._gain) or None
        self._in_time = self._in_time and self._goes_on(candidate, to_beat)
        if not self._in_time:
            return None
        trial = self._trials[candidate] = self._measure(candidate, to_beat)
        return trial if trial.rate >= (to_beat or 0.0) and trial.found else None


def _can_be(candidate: Candidate) -> bool:
    """Whether vLLM takes it: a step must hold a token of each prompt."""
    sequences, tokens = candidate.max_sequences, candidate.max_batched_tokens
    return sequences is None or tokens is None or sequences <= tokens
