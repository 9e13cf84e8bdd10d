"""The disagreement report: plain values, for tables and as JSON. It has utterances only where they were asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intently_release.colors import Color
from intently_release.compare.answers import Answer, Decision
from intently_release.compare.tally import ColorTally, Difference, Tally
from intently_release.compare.utterances import Utterances
from intently_release.compare.wilson import wilson

_QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
_DIGITS = 6

Quantiles = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class ColorReport:
    """One color.

    Attributes:
        color: Which.
        revisions: That answered, most answers first; more than one tells of a release that went on meanwhile.
        answered: Calls that it answered.
        errors: The others, by gRPC status.
        latency_ms: Of the answers, measured by the caller: p50 and p99.
        confidence_where_they_differ: Quantiles.
    """

    color: Color
    revisions: tuple[str, ...]
    answered: int
    errors: Mapping[str, int]
    latency_ms: Quantiles
    confidence_where_they_differ: Quantiles


@dataclass(frozen=True, slots=True)
class Pair:
    """How often the stable color decided one thing, and the canary another."""

    stable: Mapping[str, str]
    canary: Mapping[str, str]
    count: int

    @property
    def texts(self) -> tuple[str, str]:
        """Both for people."""
        return str(Decision(**self.stable)), str(Decision(**self.canary))


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a replay. See `Tally` for the kinds of differences.

    Attributes:
        stable, canary: The colors.
        sent: Utterances.
        unusable_lines, first_unusable_lines: Of the file: how many, and the numbers of the first.
        compared: Utterances that both colors answered.
        differ, differ_share, differ_wilson_95: How many of them were decided differently; share and interval are None
            if nothing was compared.
        intents_differ, scopes_differ, ambiguity_differs: What differs; they sum to `differ`.
        confident, confident_differ: Differences where both confidences reach the first, and neither is ambiguous.
        mean_confidence_difference_where_they_agree: Absolute; None where they never do.
        pairs: All of them, the most frequent first.
        strongest: WITH UTTERANCES: the differences where both are surest; None unless they were asked for.
    """

    stable: ColorReport
    canary: ColorReport
    sent: int
    unusable_lines: int
    first_unusable_lines: tuple[int, ...]
    compared: int
    differ: int
    differ_share: float | None
    differ_wilson_95: tuple[float, float] | None
    intents_differ: int
    scopes_differ: int
    ambiguity_differs: int
    confident: float
    confident_differ: int
    mean_confidence_difference_where_they_agree: float | None
    pairs: tuple[Pair, ...]
    strongest: Sequence[Mapping[str, Any]] | None


def report_of(tally: Tally, utterances: Utterances, *, with_utterances: bool) -> Report:
    """All that is to be said of what was counted."""
    interval = wilson(tally.differ, tally.compared)
    mean = tally.mean_difference
    stable, canary = tally.stable, tally.stable.other
    return Report(
        stable=_color(stable, tally.colors[stable]),
        canary=_color(canary, tally.colors[canary]),
        sent=tally.colors[stable].answered + tally.colors[stable].errors.total(),
        unusable_lines=utterances.unusable,
        first_unusable_lines=tuple(utterances.first_unusable),
        compared=tally.compared,
        differ=tally.differ,
        differ_share=round(tally.differ / tally.compared, _DIGITS) if tally.compared else None,
        differ_wilson_95=interval and (round(interval[0], _DIGITS), round(interval[1], _DIGITS)),
        intents_differ=tally.intents_differ,
        scopes_differ=tally.scopes_differ,
        ambiguity_differs=tally.ambiguity_differs,
        confident=tally.confident,
        confident_differ=tally.confident_differ,
        mean_confidence_difference_where_they_agree=None if mean is None else round(mean, _DIGITS),
        pairs=tuple(
            Pair(before._asdict(), after._asdict(), count)
            for (before, after), count in sorted(tally.pairs.items(), key=lambda item: (-item[1], item[0]))
        ),
        strongest=[_strong(each) for each in tally.strongest] if with_utterances else None,
    )


def _color(color: Color, tally: ColorTally) -> ColorReport:
    return ColorReport(
        color=color,
        revisions=tuple(revision for revision, _ in tally.revisions.most_common()),
        answered=tally.answered,
        errors=dict(sorted(tally.errors.items())),
        latency_ms={"p50": tally.latency.quantile_ms(0.5), "p99": tally.latency.quantile_ms(0.99)},
        confidence_where_they_differ={name: tally.confidence.quantile(share) for name, share in _QUANTILES.items()},
    )


def _strong(difference: Difference) -> Mapping[str, Any]:
    utterance = difference.utterance
    return {
        "line": utterance.line,
        "UTTERANCE": utterance.request.text,
        "stable": _said(difference.stable),
        "canary": _said(difference.canary),
    }


def _said(answer: Answer) -> Mapping[str, Any]:
    return {**answer.decision._asdict(), "confidence": round(answer.confidence, _DIGITS)}
