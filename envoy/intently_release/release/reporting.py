"""The seam to whoever shows a release as it goes: a terminal, a line at a time, or JSON."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from intently_release.colors import Color, Weights


@dataclass(frozen=True, slots=True)
class ColorView:
    """How a color does over the time that is being judged.

    Attributes:
        calls: That ended.
        per_s: Calls a second.
        errors: Calls that ended with a code that tells of a fault.
        p50_ms, p99_ms: Latency of single calls; None where there were none.
        healthy: Servers that Envoy holds for healthy.
        servers: All of them.
    """

    calls: int
    per_s: float
    errors: int
    p50_ms: float | None
    p99_ms: float | None
    healthy: int
    servers: int


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a release under way.

    Attributes:
        step: What is being judged, such as "25 %".
        weights: Of new calls.
        elapsed_s: Since the step began.
        canary: Which color is on trial.
        views: By color.
        outcome: What can be said so far, in a word.
        verdict: The same in sentences.
    """

    step: str
    weights: Weights
    elapsed_s: float
    canary: Color
    views: dict[Color, ColorView]
    outcome: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something was done or decided.

    Attributes:
        kind: In snake_case, for machines.
        text: For people.
        fields: Figures, for machines.
    """

    kind: str
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


class Reporter(Protocol):
    """Shows a release."""

    def event(self, event: Event) -> None:
        """Something was done or decided."""
        ...

    def look(self, look: Look) -> None:
        """How it goes at the moment; comes again and again."""
        ...
