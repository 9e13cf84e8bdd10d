"""What the command was asked to measure."""

from dataclasses import dataclass

from intently.bench.leg import Leg
from intently.bench.plan import Plan
from intently.bench.studies.kind import Kind
from intently.bench.studies.searching import SearchOptions
from intently.bench.thresholds import Threshold


@dataclass(frozen=True, slots=True)
class Order:
    """One run of the command.

    Attributes:
        kind: What is asked for.
        plans: Of the target, and of the one that it is compared with.
        legs: RUN, RAMP, COMPARISON: what is measured on each.
        rounds: COMPARISON: how often.
        search: SEARCH: how.
        thresholds: What makes it fail.
        allow_limited: Whether to report though the generator was the limit.
    """

    kind: Kind
    plans: tuple[Plan, ...]
    legs: tuple[Leg, ...]
    rounds: int
    search: SearchOptions | None
    thresholds: tuple[Threshold, ...]
    allow_limited: bool
