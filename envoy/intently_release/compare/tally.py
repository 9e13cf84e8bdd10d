"""Counts exchanges, in memory that does not grow with their number."""

import heapq
from collections import Counter
from dataclasses import dataclass, field

from intently_release.colors import Color
from intently_release.compare.answers import AMBIGUOUS, OUT_OF_SCOPE, Answer, Decision, Reply
from intently_release.compare.replay import Exchange
from intently_release.compare.spread import Durations, Shares
from intently_release.compare.utterances import Utterance


@dataclass(slots=True)
class ColorTally:
    """One color.

    Attributes:
        answered: Calls that it answered.
        errors: The others, by gRPC status.
        revisions: That answered, with the number of answers.
        latency: Of the answers.
        confidence: Of its answers where the colors differ.
    """

    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)
    latency: Durations = field(default_factory=Durations)
    confidence: Shares = field(default_factory=Shares)

    def add(self, reply: Reply) -> None:
        """One more reply."""
        if reply.answer is None:
            self.errors[reply.status] += 1
            return
        self.answered += 1
        self.revisions[reply.answer.revision] += 1
        self.latency.add(reply.seconds)


@dataclass(frozen=True, slots=True)
class Difference:
    """An utterance that the colors decided differently."""

    utterance: Utterance
    stable: Answer
    canary: Answer


class Tally:
    """What came of all exchanges so far.

    Args:
        stable: The color that the other is compared with.
        confident: A disagreement is a confident one where both confidences reach it.
        keep: How many differences to keep, utterances and all: those where both colors are surest and differ.

    Attributes:
        compared: Exchanges that both colors answered.
        differ: Those of them where the decisions differ.
        confident_differ: Those of them where both colors are confident.
        intents_differ: Both are in scope, and name different intents.
        scopes_differ: One is out of scope, and the other is not.
        ambiguity_differs: The same intent, which is ambiguous to one alone.
        pairs: How often the stable color decided one thing and the canary another.
    """

    def __init__(self, stable: Color, confident: float, keep: int = 0) -> None:
        self.stable = stable
        self.confident = confident
        self.colors = {color: ColorTally() for color in Color}
        self.compared = 0
        self.differ = 0
        self.confident_differ = 0
        self.intents_differ = 0
        self.scopes_differ = 0
        self.ambiguity_differs = 0
        self.pairs: Counter[tuple[Decision, Decision]] = Counter()
        self._keep = keep
        self._difference = 0.0
        self._kept: list[tuple[float, int, Difference]] = []  # a heap: the weakest is the first to go

    @property
    def mean_difference(self) -> float | None:
        """The mean absolute difference of the confidences where the colors agree; None where they never do."""
        agreed = self.compared - self.differ
        return self._difference / agreed if agreed else None

    @property
    def strongest(self) -> list[Difference]:
        """The differences that were kept, the strongest first."""
        return [difference for _, _, difference in sorted(self._kept, reverse=True)]

    def add(self, exchange: Exchange) -> None:
        """One more."""
        for color, reply in exchange.replies.items():
            self.colors[color].add(reply)
        stable, canary = (exchange.replies[color].answer for color in (self.stable, self.stable.other))
        if stable is None or canary is None:
            return
        self.compared += 1
        if stable.decision == canary.decision:
            self._difference += abs(stable.confidence - canary.confidence)
        else:
            self._add_difference(Difference(exchange.utterance, stable, canary))

    def _add_difference(self, difference: Difference) -> None:
        stable, canary = difference.stable, difference.canary
        self.differ += 1
        self.pairs[stable.decision, canary.decision] += 1
        self.colors[self.stable].confidence.add(stable.confidence)
        self.colors[self.stable.other].confidence.add(canary.confidence)
        outcomes = {stable.decision.outcome, canary.decision.outcome}
        if OUT_OF_SCOPE in outcomes:
            self.scopes_differ += 1
        elif stable.decision.intent != canary.decision.intent:
            self.intents_differ += 1
        else:
            self.ambiguity_differs += 1
        strength = min(stable.confidence, canary.confidence)
        if strength >= self.confident and AMBIGUOUS not in outcomes:
            self.confident_differ += 1
        if self._keep:
            # The earlier line wins a tie; lines are numbered once each, so no two entries tie.
            entry = (strength, -difference.utterance.line, difference)
            (heapq.heappush if len(self._kept) < self._keep else heapq.heappushpop)(self._kept, entry)
