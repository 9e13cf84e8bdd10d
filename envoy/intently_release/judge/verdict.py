"""The verdict on a canary, of its window and the stable color's. Pure.

Its rules, the first that applies. Missing data is never a pass.

1. UNKNOWN: a window has a problem.
2. BAD: a server of the canary is unhealthy, or one was ejected.
3. TOO_FEW: fewer than min_requests calls of the canary that tell anything: a batch or a stream that ends with OK does
   not, since whatever became of its utterances is told inside.
4. BAD: too many calls with a status that tells of a fault, too many that got no answer, too many retries, too slow.
   Retries count because they hide a dead canary from its callers; calls without an answer because one that hangs leaves
   nothing else when callers are impatient.
5. UNKNOWN: latencies are not there, or no server of the stable color is well: then its calls fall back to the canary.
6. TOO_FEW: the canary is not quick, and the stable color saw too few calls to say whether that is normal; or so great a
   share of its calls failed that more of the same would be bad, and that it passes if no more do.
7. GOOD.
"""

import enum
from dataclasses import dataclass

from intently_release.config import Thresholds
from intently_release.judge.window import Window

_FAULTS = {
    2: "UNKNOWN",
    4: "DEADLINE_EXCEEDED",
    8: "RESOURCE_EXHAUSTED",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
}
FAULTS = frozenset(_FAULTS)
"""gRPC statuses that tell of a fault of the server, not of the caller."""

_NEVER_EXCUSED = 0.5  # a share that is bad however ill the stable color is
_P99 = 0.99


class Outcome(enum.StrEnum):
    """What can be said of a canary."""

    GOOD = "good"
    BAD = "bad"
    TOO_FEW = "too_few"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a canary.

    Attributes:
        kind: In a word.
        reasons: Why, in sentences for operators with the numbers in them; one at least.
        may_pass: Whether more calls may say otherwise: one pause of a machine makes all calls slow that are under way.
    """

    kind: Outcome
    reasons: tuple[str, ...]
    may_pass: bool = False


def judge(thresholds: Thresholds, canary: Window, stable: Window) -> Verdict:
    """Judges a canary.

    Args:
        thresholds: What makes it bad.
        canary: What it did.
        stable: What the stable color did over the same time; where that gets no traffic any more, over the last time in
            which it did.
    """
    if problems := _problems(canary, stable):
        return Verdict(Outcome.UNKNOWN, problems)
    if ill := _ill(canary):
        return Verdict(Outcome.BAD, ill)
    if canary.telling < thresholds.min_requests:
        return Verdict(
            Outcome.TOO_FEW,
            (_seen_too_few(thresholds, canary),),
        )
    bad, slow = _bad(thresholds, canary, stable), _too_slow(thresholds, canary, stable)
    if bad or slow:
        return Verdict(Outcome.BAD, (*bad, slow) if slow else bad, may_pass=not bad)
    if unclear := _unclear(canary, stable):
        return Verdict(Outcome.UNKNOWN, unclear)
    if unsettled := (*_incomparable(thresholds, canary, stable), *_perhaps_bad(thresholds, canary, stable)):
        return Verdict(Outcome.TOO_FEW, unsettled)
    return Verdict(Outcome.GOOD, (_summary(canary, stable),))


def _problems(canary: Window, stable: Window) -> tuple[str, ...]:
    named = (("canary", canary), ("stable color", stable))
    found = [f"Nothing can be said of the {name}: {window.problem}." for name, window in named if window.problem]
    if not canary.problem and canary.pending:
        found.append(f"Envoy has not yet checked {canary.pending} of the canary's {canary.total} servers.")
    return tuple(found)


def _ill(canary: Window) -> tuple[str, ...]:
    reasons = []
    if canary.healthy < canary.total or not canary.total:
        reasons.append(f"{canary.healthy} of the canary's {canary.total} servers are healthy.")
    if canary.ejected:
        reasons.append(f"{canary.ejected} of the canary's {canary.total} servers are ejected for failing calls.")
    elif canary.ejections:
        reasons.append(f"Servers of the canary were ejected for failing calls, {canary.ejections} times.")
    return tuple(reasons)


def _seen_too_few(thresholds: Thresholds, canary: Window) -> str:
    needed = f"in {canary.seconds:.1f} s, of {thresholds.min_requests} needed"
    if not canary.silent:
        return f"The canary saw {canary.seen} calls {needed}."
    return (
        f"The canary saw {canary.telling} calls that tell how it fares {needed}; {canary.silent} batches and streams "
        "ended with OK, whatever became of the utterances in them."
    )


def _bad(thresholds: Thresholds, canary: Window, stable: Window) -> tuple[str, ...]:
    faults = ", ".join(f"{_FAULTS[code]} {count}" for code, count in canary.codes.items() if code in FAULTS)
    reasons = (
        _too_many(
            thresholds,
            f"failed ({faults})",
            (canary.count(FAULTS), canary.telling),
            (stable.count(FAULTS), stable.telling),
        ),
        _too_many(
            thresholds,
            "got no answer before their callers gave up",
            (canary.unanswered, canary.telling),
            (stable.unanswered, stable.telling),
        ),
        _too_often_again(thresholds, canary),
    )
    return tuple(reason for reason in reasons if reason)


def _too_many(thresholds: Thresholds, what: str, canary: tuple[int, int], stable: tuple[int, int]) -> str:
    """Each is a number of calls, of how many. A stable color that saw few calls excuses nothing."""
    number, of = canary
    if number < thresholds.bad_least or not _is_over(thresholds, canary, stable):
        return ""
    return (
        f"{number} of the canary's {of} calls {what}: {number / of:.1%}, over {thresholds.bad_share:.1%} and over "
        f"{thresholds.bad_times_stable:g} times the stable color's {_share(thresholds, stable):.1%}."
    )


def _is_over(thresholds: Thresholds, canary: tuple[int, int], stable: tuple[int, int]) -> bool:
    share = canary[0] / canary[1]
    excused = min(thresholds.bad_times_stable * _share(thresholds, stable), _NEVER_EXCUSED)
    return share > max(thresholds.bad_share, excused)


def _share(thresholds: Thresholds, stable: tuple[int, int]) -> float:
    return stable[0] / stable[1] if stable[1] >= thresholds.min_requests else 0.0


def _perhaps_bad(thresholds: Thresholds, canary: Window, stable: Window) -> tuple[str, ...]:
    """Failures too few to be sure of, among calls too few to pass them over."""
    failed = canary.count(FAULTS) + canary.unanswered
    if not _is_over(thresholds, (failed, canary.telling), (stable.count(FAULTS) + stable.unanswered, stable.telling)):
        return ()
    return (f"{failed} of the canary's {canary.telling} calls failed: of so few, nobody can say whether that is much.",)


def _too_often_again(thresholds: Thresholds, canary: Window) -> str:
    number = canary.retries + canary.overflow
    share = number / canary.telling
    if number < thresholds.retry_least or share <= thresholds.retry_share:
        return ""
    return (
        f"{canary.retries} retries and {canary.overflow} overflows hid behind the canary's {canary.telling} calls: "
        f"{share:.1%}, over {thresholds.retry_share:.1%}."
    )


def _too_slow(thresholds: Thresholds, canary: Window, stable: Window) -> str:
    """Of the median and of p99, whichever is over its limit: a busy machine stretches the stable color's p99.

    One is over it if a greater share of the calls is than may be, and so many that it is no accident.
    """
    for name, share in (("median", 0.5), ("p99", _P99)):
        normal = _normal_ms(thresholds, stable, share)
        if normal is None:
            continue
        limit = max(thresholds.p99_least_ms, thresholds.p99_times_stable * normal)
        slow = canary.latency.over(limit)
        if slow >= thresholds.slow_least and slow > (1 - share) * canary.latency.count:
            return (
                f"{slow} of the canary's {canary.latency.count} single calls took over {limit:.0f} ms: its {name} is "
                f"{_ms(canary, share)}, the stable color's {_ms(stable, share)}."
            )
    return ""


def _normal_ms(thresholds: Thresholds, stable: Window, share: float) -> float | None:
    """The stable color's; None if it saw too few calls to have one."""
    return stable.latency.quantile(share) if stable.latency.count >= thresholds.min_requests else None


def _unclear(canary: Window, stable: Window) -> tuple[str, ...]:
    reasons = []
    if 2 * canary.latency.count < canary.singles:
        reasons.append(f"Envoy tells {canary.latency.count} latencies of the canary's {canary.singles} single calls.")
    if not stable.healthy:  # with one that is, the color keeps its calls: see `xds.clusters`
        reasons.append(
            f"None of the stable color's {stable.total} servers is healthy: its calls fall back to the canary, and "
            "there is nothing to compare with."
        )
    return tuple(reasons)


def _incomparable(thresholds: Thresholds, canary: Window, stable: Window) -> tuple[str, ...]:
    slow = canary.latency.over(thresholds.p99_least_ms)
    quick = slow < thresholds.slow_least or slow <= (1 - _P99) * canary.latency.count
    if quick or _normal_ms(thresholds, stable, _P99) is not None:
        return ()
    return (
        f"The canary's p99 is {_ms(canary)}, and the stable color answered {stable.latency.count} single calls, of "
        f"{thresholds.min_requests} needed to say whether that is normal.",
    )


def _summary(canary: Window, stable: Window) -> str:
    failed, normal = (window.count(FAULTS) / max(1, window.telling) for window in (canary, stable))
    return (
        f"The canary answered {canary.calls} calls in {canary.seconds:.1f} s: {failed:.1%} failed (stable "
        f"{normal:.1%}), {canary.retries} retries, p99 {_ms(canary)} (stable {_ms(stable)})."
    )


def _ms(window: Window, share: float = _P99) -> str:
    quantile = window.latency.quantile(share)
    return "unknown" if quantile is None else f"{quantile:.0f} ms"
