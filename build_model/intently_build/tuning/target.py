"""The latency that is to be kept, and times as people write them."""

import re
from dataclasses import dataclass

from intently_build.errors import BuildError

PERCENTS = ("50", "75", "90", "95", "99", "99.9")  # those that `intently bench` reports

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Slo:
    """A latency to be kept.

    Attributes:
      percent: of the calls, as `PERCENTS` has it, that must be answered within the limit.
      limit_s: in seconds.
      text: as it was written, such as p99=82ms.
    """

    percent: str
    limit_s: float
    text: str

    @property
    def allowed(self) -> float:
        """The share of the calls that may take longer."""
        return round(1 - float(self.percent) / 100, 6)

    @property
    def least_calls(self) -> int:
        """How many calls it takes to judge it: with fewer than 20 over the limit, chance alone would decide."""
        return round(20 / self.allowed)


def parse_slo(text: str) -> Slo:
    """Returns the latency of p99=82ms. Raises BuildError."""
    match = re.fullmatch(r"p(\d+(?:\.\d+)?)=(.+)", text)
    if match is None or match[1] not in PERCENTS:
        known = ", ".join(f"p{percent}" for percent in PERCENTS)
        raise BuildError(f"--slo {text}: must be a latency such as p99=82ms, with one of {known}")
    return Slo(match[1], parse_seconds("slo", match[2]), text)


def parse_seconds(option: str, text: str) -> float:
    """Returns the seconds of 82ms, 1.5s or 10m; a bare number is seconds. Raises BuildError naming the option."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(us|ms|s|m|h|)", text.strip())
    if match is None or not float(match[1]):
        raise BuildError(f"--{option} {text}: must be a time above 0, such as 82ms, 1.5s or 10m")
    return float(match[1]) * _UNITS[match[2]]
