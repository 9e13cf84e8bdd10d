"""How single intents do: precision and recall, what they are confused with, and macro-F1 over all of them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import f1_score, precision_recall_fscore_support

from intently_build.calibration import Integers
from intently_build.evaluation.figures import Confusion, IntentChange, IntentFigures, Results

WORST = 10


def macro_f1(labels: Integers, predicted: Integers, intents: int) -> float:
    """Returns the unweighted mean of the F1 scores of all intents; one that never occurs counts 0."""
    return float(f1_score(labels, predicted, labels=np.arange(intents), average="macro", zero_division=0))


def absent_in_words(results: Results) -> str:
    """Returns what to say beside a macro-F1 where intents do not occur in the rows, else nothing."""
    absent = results.absent_intents
    if not absent:
        return ""
    known = len(results.bundles[0].quality.intents)
    return f"{absent} of {known} intents do not occur in these rows, and count 0 in macro-F1"


def intent_figures(labels: Integers, predicted: Integers, names: Sequence[str]) -> tuple[IntentFigures, ...]:
    """Returns the figures of each intent, in the order of `names`; what would divide by nothing is 0."""
    columns = precision_recall_fscore_support(labels, predicted, labels=np.arange(len(names)), zero_division=0)
    return tuple(
        IntentFigures(name, int(rows), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, rows in zip(names, *columns, strict=True)
    )


def confusions(labels: Integers, predicted: Integers, names: Sequence[str]) -> tuple[Confusion, ...]:
    """Returns which intents are taken for which others, the most frequent first, then by name."""
    wrong = labels != predicted
    counts = Counter(zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    found = [Confusion(names[right], names[taken], rows) for (right, taken), rows in counts.items()]
    return tuple(sorted(found, key=lambda each: (-each.rows, each.right, each.predicted)))


def worst_hit(reference: Sequence[IntentFigures], other: Sequence[IntentFigures]) -> tuple[IntentChange, ...]:
    """Returns the intents of which `other` has fewer rows right than `reference`: the worst first, at most WORST."""
    pairs = [(old, new) for old, new in zip(reference, other, strict=True) if new.recall < old.recall]
    pairs.sort(key=lambda pair: ((pair[1].recall - pair[0].recall) * pair[0].rows, pair[0].intent))
    return tuple(IntentChange(old.intent, old.rows, old.recall, new.recall) for old, new in pairs[:WORST])
