"""The choice: which bundles of a comparison keep all limits, why the others do not, and which one is named."""

import math
from dataclasses import dataclass
from typing import Literal

from intently_build.comparing.compared import Choice, Compared
from intently_build.errors import BuildError
from intently_build.evaluation.figures import Level
from intently_build.evaluation.gate import ACCURACY_POINTS, MACRO_F1_POINTS
from intently_build.planning.gpus import GIB

Aim = Literal["speed", "accuracy", "memory"]

_ROUNDING = 1e-9  # a loss of exactly what is allowed passes, however it was summed
_LEAST_POINTS = 0.1  # an excess over a limit of no loss is told by this share


@dataclass(frozen=True)
class Limits:
    """What a bundle must keep.

    Attributes:
      p99_ms: milliseconds within which 99 of 100 calls must have been answered, or None.
      rate: calls that must have been answered in a second, at one number under way within `p99_ms`; or None.
      memory_gib: memory that the server may have held, or None.
      accuracy_points, macro_f1_points: what may have been lost against the reference, in points (hundredths).
    """

    p99_ms: float | None = None
    rate: float | None = None
    memory_gib: float | None = None
    accuracy_points: float = ACCURACY_POINTS
    macro_f1_points: float = MACRO_F1_POINTS


@dataclass(frozen=True)
class Excess:
    """A limit that is not kept.

    Attributes:
      text: with the figure and the limit.
      share: by how much of the limit; infinite if it was not measured.
    """

    text: str
    share: float


@dataclass(frozen=True)
class Verdict:
    """What is said of one bundle.

    Attributes:
      level: the fastest of its levels within the limit on p99; None where there is none.
      excesses: of all limits that it does not keep; none if it may be chosen.
    """

    choice: Choice
    level: Level | None
    excesses: tuple[Excess, ...]

    @property
    def passes(self) -> bool:
        """Whether it keeps every limit."""
        return not self.excesses


@dataclass(frozen=True)
class Chosen:
    """The choice.

    Attributes:
      verdicts: of each bundle, as they were compared.
      named: the one that is chosen, or None if none keeps the limits.
      nearest: where none does, the one whose worst excess is the least; None if all lack a figure.
    """

    verdicts: tuple[Verdict, ...]
    named: Choice | None
    nearest: Choice | None


def check_machine(compared: Compared, gpu: str | None) -> None:
    """Raises BuildError unless `gpu`, or else what the comparison was for, is what the figures were measured on."""
    wanted, measured = gpu or compared.target, compared.machine
    if wanted != measured.gpu:
        raise BuildError(
            f"measured on {measured.gpu} ({measured.text}), and asked about {wanted}: speed and memory are other "
            f"there; run `intently-build compare` on {wanted}, or give --anyway"
        )


def choose(compared: Compared, limits: Limits, aim: Aim) -> Chosen:
    """Returns the choice: of the bundles that keep all limits the one that goes furthest in `aim`.

    Speed is that of the fastest level within the limit on p99. Of equals the one that is better in the other two is
    named, accuracy before memory before size.
    """
    verdicts = tuple(judge(each, limits) for each in compared.choices)
    passing = [each for each in verdicts if each.passes]
    if passing:
        return Chosen(verdicts, max(passing, key=lambda each: _merit(each, aim)).choice, None)
    nearest = min(verdicts, key=_worst, default=None)
    measured = nearest is not None and math.isfinite(_worst(nearest))
    return Chosen(verdicts, None, nearest.choice if nearest and measured else None)


def judge(found: Choice, limits: Limits) -> Verdict:
    """Returns which limits a bundle does not keep."""
    within = [level for level in found.levels if _within(level, limits)]
    level = max(within, key=lambda each: each.calls_per_second, default=None)
    checks = (
        _loss("accuracy", found.accuracy_lost, limits.accuracy_points),
        _loss("macro-F1", found.macro_f1_lost, limits.macro_f1_points),
        _speed(found, limits),
        _memory(found, limits),
    )
    return Verdict(found, level, tuple(excess for excess in checks if excess))


def _worst(verdict: Verdict) -> float:
    return max(excess.share for excess in verdict.excesses)


def _merit(verdict: Verdict, aim: Aim) -> tuple[float, ...]:
    found = verdict.choice
    speed = verdict.level.calls_per_second if verdict.level else 0.0
    memory = -(math.inf if found.memory_bytes is None else found.memory_bytes)
    rest = (found.accuracy, memory, -found.bytes_on_disk, speed)
    return {"speed": (speed, *rest), "accuracy": (found.accuracy, speed, *rest), "memory": (memory, speed, *rest)}[aim]


def _loss(what: str, lost: float, allowed: float) -> Excess | None:
    if lost <= allowed + _ROUNDING:
        return None
    return Excess(
        f"loses {lost:.2f} points of {what}, {allowed:g} allowed", (lost - allowed) / max(allowed, _LEAST_POINTS)
    )


def _speed(found: Choice, limits: Limits) -> Excess | None:
    """One level must keep both limits: what one client gets at so many calls under way."""
    if limits.p99_ms is None and limits.rate is None:
        return None
    if not found.levels:
        return Excess("speed was not measured", math.inf)
    if any(_within(level, limits) and _fast(level, limits) for level in found.levels):
        return None
    nearest = min(found.levels, key=lambda level: _over(level, limits))
    wanted = (
        "" if limits.rate is None else f"{limits.rate:g} calls/s",
        "" if limits.p99_ms is None else f"p99 within {limits.p99_ms:g} ms",
    )
    return Excess(
        f"{nearest.calls_per_second:.1f} calls/s with p99 {nearest.p99_ms:.1f} ms at {nearest.in_flight} in flight, "
        f"wanted {' and '.join(filter(None, wanted))}",
        _over(nearest, limits),
    )


def _within(level: Level, limits: Limits) -> bool:
    return limits.p99_ms is None or level.p99_ms <= limits.p99_ms


def _fast(level: Level, limits: Limits) -> bool:
    return limits.rate is None or level.calls_per_second >= limits.rate


def _over(level: Level, limits: Limits) -> float:
    """Returns by how much this level is over the limit that it keeps least, as a share of that limit."""
    late = -math.inf if limits.p99_ms is None else level.p99_ms / limits.p99_ms - 1
    slow = -math.inf if limits.rate is None else limits.rate / level.calls_per_second - 1
    return max(late, slow)


def _memory(found: Choice, limits: Limits) -> Excess | None:
    if limits.memory_gib is None:
        return None
    if found.memory_bytes is None:
        return Excess("memory was not measured", math.inf)
    held = found.memory_bytes / GIB
    if held <= limits.memory_gib:
        return None
    return Excess(f"holds {held:.2f} GiB, {limits.memory_gib:g} allowed", held / limits.memory_gib - 1)
