"""What makes a run fail: figures over or under a bound, as `--fail-if` names them."""

import argparse
import re
from dataclasses import dataclass

from intently.bench.arguments import seconds
from intently.bench.studies.kind import Kind

_RATIO = re.compile(r"(p\d\d(\.\d)?-)?ratio(\.low|\.high)?")
_TIME = re.compile(r"p\d\d(\.\d{1,2})?|max|mean")
_COUNTS = ("errors", "error-rate", "goodput", "found")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A figure and its bound.

    Attributes:
        figure: Its name; see `names`.
        below: Whether to fail below the bound; above it otherwise.
        bound: In seconds, where the figure is a time.
    """

    figure: str
    below: bool
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """The threshold of p99>82ms, errors>0, error-rate>0.1%, goodput<900, ratio<0.97, p99-ratio>1.1 or found<1600.

        Raises:
            argparse.ArgumentTypeError: if it is none.
        """
        parts = re.fullmatch(r"\s*([^<>\s]+)\s*([<>])\s*([^<>\s]+)\s*", text)
        figure, sign, bound = parts.groups() if parts is not None else ("", "", "")
        if not (_RATIO.fullmatch(figure) or _TIME.fullmatch(figure) or figure in _COUNTS):
            raise argparse.ArgumentTypeError(
                f"{text!r} is no threshold such as p99>82ms, error-rate>0.1% or ratio<0.97"
            )
        return cls(figure, sign == "<", seconds(bound) if _TIME.fullmatch(figure) else _number(bound))

    @property
    def needs(self) -> Kind | None:
        """What must be asked for beside it: a ratio needs a comparison, what is found a search."""
        if self.is_ratio:
            return Kind.COMPARISON
        return Kind.SEARCH if self.figure == "found" else None

    @property
    def is_time(self) -> bool:
        """Whether the figure is a time."""
        return _TIME.fullmatch(self.figure) is not None

    @property
    def is_ratio(self) -> bool:
        """Whether the figure is a ratio of two targets."""
        return _RATIO.fullmatch(self.figure) is not None


def _number(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
