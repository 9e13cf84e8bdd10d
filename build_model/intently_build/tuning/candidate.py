"""What is tried: settings of the engine's steps; and what was found of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Axis = Literal["max_sequences", "max_batched_tokens"]


@dataclass(frozen=True)
class Candidate:
    """How much one step of the engine takes.

    Attributes:
      max_sequences: prompts; None leaves it to vLLM.
      max_batched_tokens: tokens; None leaves it to vLLM.
    """

    max_sequences: int | None = None
    max_batched_tokens: int | None = None

    def settings(self) -> dict[str, int]:
        """Returns those that are not left to vLLM, by the names that the server has for them."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def along(self, axis: Axis, value: int) -> "Candidate":
        """Returns one that differs in this."""
        return replace(self, **{axis: value})

    def __str__(self) -> str:
        sequences, tokens = (value or "default" for value in (self.max_sequences, self.max_batched_tokens))
        return f"{sequences} sequences, {tokens} tokens"


@dataclass(frozen=True)
class Found:
    """The highest rate at which the latency was kept.

    Attributes:
      rate: calls a second.
      failed_above: the lowest rate at which it was not.
      percentile_s: the percentile of the latency at the rate, in seconds: the worst of its measurements.
      mean_s: the mean latency there.
      goodput: calls answered a second there.
    """

    rate: float
    failed_above: float | None
    percentile_s: float
    mean_s: float
    goodput: float


@dataclass(frozen=True)
class Trial:
    """A candidate that was measured.

    Attributes:
      candidate: what.
      found: the rate; None if it did not keep the latency at the rate that was to be beaten, or at any.
      to_beat: that rate; None if there was none.
      late_s: the percentile of the latency at `to_beat`, where it was not kept.
      reason: why nothing was measured, such as a server that did not start; "" if it was.
    """

    candidate: Candidate
    found: Found | None
    to_beat: float | None = None
    late_s: float | None = None
    reason: str = ""

    @property
    def rate(self) -> float:
        """The rate found; 0 if there is none."""
        return self.found.rate if self.found else 0.0


def read_trial(fields: Mapping[str, Any]) -> Trial:
    """Returns what `dataclasses.asdict` made of a trial. Raises TypeError or KeyError."""
    found = fields["found"]
    return Trial(
        **{**fields, "candidate": Candidate(**fields["candidate"]), "found": None if found is None else Found(**found)}
    )
