"""Admission limits, from what was measured: the rule.

With the rate R that the profile promises, the mean latency S at the rate found, and the latency L that is to be kept:

  max_wait           max(L, 4 * S), rounded up to a millisecond: whoever is admitted is answered within the latency, or
                     refused at once. But the server gives its engine no more than it works off in a third of
                     max_wait; by Little's law the engine holds R * S at the rate found, so with less than 3 * S it
                     would starve, and the rate would fall just when there is too much to do. A fourth is for chance.
  max_running        R * max_wait / 2, by Little's law twice what the engine holds at the rate: with more inside it, a
                     server that was never full, and so knows no rate to refuse by yet, would answer too late. At least
                     the 32 that the server gives its engine in any case. At most 2 * max_sequences: one step is
                     computed while the next one waits for it; more would wait where no fair queue orders it. Where
                     max_sequences is left to vLLM, at most the server's own default.
  max_in_flight      2 * R * max_wait: by Little's law as many as are answered within max_wait, and as many again for
                     bursts. At least twice max_running, and at least one largest batch of the server's default.
  max_queued_tokens  max_in_flight prompts of the longest utterance that was measured, without the prefix. At least
                     four prompts as long as the bundle allows.
"""

import math
from dataclasses import asdict, dataclass

from intently_build.tuning.candidate import Found

DEFAULT_RUNNING = 256  # of the server, where nobody says
LEAST_RUNNING = 32  # that the server gives its engine, however slow
LARGEST_BATCH = 256  # of the server by default

_STAYS = 4  # of which the server lets the engine have a third of max_wait; the rest is for chance
_ENGINE_SHARE = 0.5
_STEPS = 2
_HEADROOM = 2
_LONG_PROMPTS = 4


@dataclass(frozen=True)
class Prompts:
    """Lengths in tokens, without the prefix that all share.

    Attributes:
      longest: of those that were measured.
      limit: that the bundle allows.
    """

    longest: int
    limit: int


@dataclass(frozen=True)
class Limits:
    """The server's settings of admission, by their names there; `max_wait` is in seconds."""

    max_wait: float
    max_running: int
    max_in_flight: int
    max_queued_tokens: int

    def settings(self) -> dict[str, float]:
        """Returns them by name."""
        return asdict(self)


def promised_rate(found: Found, precision: float) -> float:
    """Returns the rate that a profile promises: the found one is known to `precision`, and this is its lower end."""
    return found.rate / (1 + precision)


def admission_limits(rate: float, mean_s: float, limit_s: float, max_sequences: int | None, prompts: Prompts) -> Limits:
    """Returns the limits by the rule above.

    Args:
      rate: R, calls a second.
      mean_s: S, in seconds.
      limit_s: L, in seconds.
      max_sequences: of a step; None where vLLM chooses.
      prompts: their lengths.
    """
    max_wait = math.ceil(1000 * max(limit_s, _STAYS * mean_s) - 1e-6) / 1000
    most = _STEPS * max_sequences if max_sequences else DEFAULT_RUNNING
    max_running = min(most, max(LEAST_RUNNING, math.ceil(_ENGINE_SHARE * rate * max_wait)))
    max_in_flight = max(math.ceil(_HEADROOM * rate * max_wait), 2 * max_running, LARGEST_BATCH)
    return Limits(
        max_running=max_running,
        max_wait=max_wait,
        max_in_flight=max_in_flight,
        max_queued_tokens=max(max_in_flight * prompts.longest, _LONG_PROMPTS * prompts.limit),
    )
