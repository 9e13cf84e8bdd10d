"""How a release can end."""

import enum
from dataclasses import dataclass

from intently_release.colors import Color


class Ending(enum.StrEnum):
    """How a release ended."""

    PROMOTED = "promoted"
    ALREADY_LIVE = "already live"
    ABORTED = "aborted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Result:
    """How a release ended.

    Attributes:
        ending: How.
        reasons: Why, as sentences for operators.
        left: The color that is kept, whose streams are told to move; None if there is none.
        streams: How many were open to it then.
    """

    ending: Ending
    reasons: tuple[str, ...] = ()
    left: Color | None = None
    streams: int = 0
