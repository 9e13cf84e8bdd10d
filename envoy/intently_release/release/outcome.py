"""How a release can end."""

import enum
from dataclasses import dataclass


class Ending(enum.StrEnum):
    """How a release ended."""

    PROMOTED = "promoted"
    ALREADY_LIVE = "already live"
    ABORTED = "aborted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Result:
    """How a release ended, and why, as sentences for operators."""

    ending: Ending
    reasons: tuple[str, ...] = ()
