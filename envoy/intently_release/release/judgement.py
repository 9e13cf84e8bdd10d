"""What looking at a canary came to."""

import enum
from dataclasses import dataclass


class Finding(enum.StrEnum):
    """What a step came to."""

    GOOD = "good"
    BAD = "bad"
    INCONCLUSIVE = "inconclusive"
    NO_TRAFFIC = "no_traffic"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a step came to, and why, as sentences for operators."""

    finding: Finding
    reasons: tuple[str, ...]
