"""What the servers of a color have counted of their answers."""

from collections import Counter
from dataclasses import dataclass, field

from intently_release.compare.answers import AMBIGUOUS, OUT_OF_SCOPE, Decision
from intently_release.compare.exposition import samples
from intently_release.xds.names import INTENT_SERVICE

_SINGLE = f"{INTENT_SERVICE}/Classify"
_NOTHING_STANDS_OUT = Decision(AMBIGUOUS, "")  # not even a first prediction: they were under min_confidence


@dataclass(frozen=True, slots=True)
class Counted:
    """Since their start, or within a window.

    Attributes:
        decisions: Answers by what they decided, of single calls, batches and streams alike.
        singles: Answers to single calls, which alone are mirrored.
        confidence: First predictions by the greatest confidence of their bucket.
    """

    decisions: Counter[Decision] = field(default_factory=Counter)
    singles: int = 0
    confidence: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(
            self.decisions + other.decisions, self.singles + other.singles, self.confidence + other.confidence
        )

    def since(self, earlier: "Counted") -> "Counted | None":
        """What was added after `earlier`; None if anything went back, which only a restart does."""
        decisions, confidence = self.decisions.copy(), self.confidence.copy()
        decisions.subtract(earlier.decisions)
        confidence.subtract(earlier.confidence)
        singles = self.singles - earlier.singles
        if singles < 0 or min((*decisions.values(), *confidence.values()), default=0) < 0:
            return None
        return Counted(+decisions, singles, +confidence)


def counted_of(text: str) -> Counted:
    """What the /metrics of one server say."""
    decisions: Counter[Decision] = Counter()
    upto: Counter[str] = Counter()
    answers = singles = 0
    for sample in samples(text):
        labels, value = sample.labels, int(sample.value)
        outcome = labels.get("intently_outcome", "")
        if sample.name == "intently_server_predictions_total":
            intent = "" if outcome == OUT_OF_SCOPE else labels.get("intently_intent", "")
            decisions[Decision(outcome, intent)] += value
        elif sample.name == "intently_server_utterances_total" and outcome != "error":
            answers += value
            singles += value if labels.get("rpc_method") == _SINGLE else 0
        elif sample.name == "intently_server_confidence_bucket":
            upto[labels.get("le", "")] += value
    decisions[_NOTHING_STANDS_OUT] += max(0, answers - decisions.total())
    return Counted(+decisions, singles, +_each(upto))


def _each(upto: Counter[str]) -> Counter[str]:
    """Counts by bucket, from counts up to the end of each bucket."""
    counts: Counter[str] = Counter()
    before = 0
    for end in sorted(upto, key=float):
        counts[end] = upto[end] - before
        before = upto[end]
    return counts
