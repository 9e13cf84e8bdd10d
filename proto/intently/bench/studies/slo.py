"""A latency to be met: a percentile and its bound, and whether a result meets it."""

import argparse
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intently.bench.arguments import positive_seconds

if TYPE_CHECKING:  # the command line knows it without the libraries of the extra
    from intently.bench.result import Result

# So many sends over the latency that a run may have: with fewer, chance alone would decide (20 ± 4.5 by Poisson).
JUDGED_BY = 20


@dataclass(frozen=True, slots=True)
class Slo:
    """At most (100 - `percent`) % of the sends may take longer than `limit_s` seconds. A send that fails took longer.

    Attributes:
        percent: 50 to 99.99.
        limit_s: In seconds, from when a send was due.
    """

    percent: float
    limit_s: float

    @classmethod
    def parse(cls, text: str) -> "Slo":
        """The latency of p99=82ms.

        Raises:
            argparse.ArgumentTypeError: if it is none.
        """
        match = re.fullmatch(r"p(\d\d(?:\.\d{1,2})?)=(.+)", text)
        if match is None or float(match[1]) < 50:
            raise argparse.ArgumentTypeError(f"{text!r} is no latency such as p99=82ms or p99.9=150ms")
        return cls(float(match[1]), positive_seconds(match[2]))

    def __str__(self) -> str:
        return f"p{self.percent:g} ≤ {self.limit_s * 1e3:g} ms"

    @property
    def allowed(self) -> float:
        """Share of the sends that may take longer."""
        return round(1 - self.percent / 100, 6)

    @property
    def least_sends(self) -> int:
        """How many sends it takes to judge it."""
        return math.ceil(JUDGED_BY / self.allowed)

    def bad_share(self, result: "Result") -> float:
        """Share of the sends that took longer or failed; 1.0 if nothing was sent."""
        total = result.total
        bad = total.latency.over(self.limit_s) + total.failed.count + result.unfinished + result.unsent
        sends = total.latency.count + total.failed.count + result.unfinished + result.unsent
        return bad / sends if sends else 1.0

    def met(self, result: "Result") -> bool:
        """Whether the result meets it."""
        return self.bad_share(result) <= self.allowed
