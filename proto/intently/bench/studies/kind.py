"""Kinds of study."""

import enum


class Kind(enum.Enum):
    """What was asked for."""

    RUN = "run"
    RAMP = "ramp"
    SEARCH = "search"
    COMPARISON = "comparison"
