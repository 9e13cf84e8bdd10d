"""The two slots that a release moves traffic between."""

import enum


class Color(enum.StrEnum):
    """A slot that runs one bundle."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Color":
        """The slot that this one takes turns with."""
        return Color.GREEN if self is Color.BLUE else Color.BLUE


Weights = dict[Color, int]
"""Percent of the new calls by color; they sum to 100."""


def all_to(color: Color) -> Weights:
    """Weights that send everything to one color."""
    return {color: 100, color.other: 0}


def split(canary: Color, percent: int) -> Weights:
    """Weights that send this share to the canary and the rest to the other color.

    Raises:
        ValueError: if it is no percentage.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is no percentage: 0 to 100")
    return {canary: percent, canary.other: 100 - percent}
