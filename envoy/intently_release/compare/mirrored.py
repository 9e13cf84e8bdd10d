"""The disagreement report of mirrored traffic: what each color counted by itself, and the bound that follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from intently_release.colors import Color
from intently_release.compare.answers import Decision
from intently_release.compare.bound import Sent, bound_of
from intently_release.compare.counted import Counted

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class MirroredColor:
    """One color.

    Attributes:
        color: Which.
        revision: Of what it runs.
        answers: To single calls, pinned ones too.
        confidence: First predictions by the greatest confidence of their bucket.
    """

    color: Color
    revision: str
    answers: int
    confidence: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Decided:
    """How often each color decided something."""

    decision: Mapping[str, str]
    stable: int
    canary: int

    @property
    def text(self) -> str:
        """For people."""
        return str(Decision(**self.decision))


@dataclass(frozen=True, slots=True)
class MirroredReport:
    """What can be said of mirrored calls. See `bound`.

    Attributes:
        kind: Tells the bound from what a replay counts.
        stable, canary: The colors.
        seconds: How long it was looked at.
        both_at_least: Calls that both colors answered, at least.
        differ_at_least, differ_share_at_least: Of these, answered differently, at least; the share is None of nothing.
        decided: By what was decided, the greatest difference first.
    """

    kind: Literal["lower bound"]
    stable: MirroredColor
    canary: MirroredColor
    seconds: float
    both_at_least: int
    differ_at_least: int
    differ_share_at_least: float | None
    decided: tuple[Decided, ...]


def mirrored_report(
    stable: Color, sent: Sent, counted: Mapping[Color, Counted], revisions: Mapping[Color, str], seconds: float
) -> MirroredReport:
    """All that is to be said of a window."""
    ours, theirs = counted[stable], counted[stable.other]
    bound = bound_of(sent, ours, theirs)
    decisions = ours.decisions.keys() | theirs.decisions.keys()
    rows = (Decided(each._asdict(), ours.decisions[each], theirs.decisions[each]) for each in sorted(decisions))
    return MirroredReport(
        kind="lower bound",
        stable=_color(stable, ours, revisions),
        canary=_color(stable.other, theirs, revisions),
        seconds=seconds,
        both_at_least=bound.both,
        differ_at_least=bound.differ,
        differ_share_at_least=None if bound.share is None else round(bound.share, _DIGITS),
        decided=tuple(sorted(rows, key=lambda row: -abs(row.stable - row.canary))),
    )


def _color(color: Color, counted: Counted, revisions: Mapping[Color, str]) -> MirroredColor:
    confidence = {end: counted.confidence[end] for end in sorted(counted.confidence, key=float)}
    return MirroredColor(color, revisions[color], counted.singles, confidence)
