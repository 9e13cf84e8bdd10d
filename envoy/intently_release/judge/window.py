"""What one color did between two moments: the difference of its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from intently_release.judge.figures import Figures
from intently_release.proxy.histogram import Histogram

_CLOCKS_S = 3.0  # between two readings of when Envoy started: whole seconds, a flush, and a slow answer
_NOTHING_TOLD = "Envoy does not tell all of its figures"
_RESTARTED = "Envoy was started again meanwhile"
_WENT_BACK = "its counters went backwards, as at a restart of Envoy"


@dataclass(frozen=True, slots=True)
class Window:
    """One color over some seconds. With a problem, nothing else of it means anything.

    Attributes:
        problem: Why there is nothing to judge by, as a clause; empty if there is.
        seconds: How long.
        codes: Calls that ended, by the number of their gRPC status.
        silent: Of those, batches and streams that ended with OK, which says nothing of the utterances in them.
        unanswered: Single calls and batches whose callers gave up before an answer, as far as is certain: those that
            began, less those that ended and all that are still under way.
        singles: Single calls that ended.
        retries, overflow: Further tries, and what was refused because too many were under way.
        active: Calls and streams under way at the end.
        healthy, pending, total: Servers at the end that get calls, that were not yet checked, and all.
        ejected, ejections: Servers taken out at the end, and how often one was since the beginning.
        latency: Of single calls, in milliseconds.
    """

    problem: str = ""
    seconds: float = 0.0
    codes: Mapping[int, int] = field(default_factory=dict)
    silent: int = 0
    unanswered: int = 0
    singles: int = 0
    retries: int = 0
    overflow: int = 0
    active: int = 0
    healthy: int = 0
    pending: int = 0
    total: int = 0
    ejected: int = 0
    ejections: int = 0
    latency: Histogram = field(default_factory=Histogram)

    @property
    def calls(self) -> int:
        """Calls that ended."""
        return sum(self.codes.values())

    @property
    def seen(self) -> int:
        """Calls that ended, by an answer or by a caller who gave up."""
        return self.calls + self.unanswered

    @property
    def telling(self) -> int:
        """Those of them that tell how the color fares."""
        return max(0, self.seen - self.silent)

    @property
    def per_s(self) -> float:
        """Calls that ended a second."""
        return self.calls / self.seconds if self.seconds > 0 else 0.0

    def count(self, codes: frozenset[int]) -> int:
        """Calls that ended with one of these."""
        return sum(count for code, count in self.codes.items() if code in codes)


def between(before: Figures | None, after: Figures | None) -> Window:
    """What happened between two readings of one color; None is a color that was missing in one."""
    if before is None or after is None:
        return Window(_NOTHING_TOLD)
    if before.epoch != after.epoch or after.started_at - before.started_at > _CLOCKS_S:
        return Window(_RESTARTED)
    statuses = before.codes.keys() | after.codes.keys()
    codes = {status: after.codes.get(status, 0) - before.codes.get(status, 0) for status in sorted(statuses)}
    latency = after.latency.since(before.latency)
    begun, ended = after.begun - before.begun, after.ended - before.ended
    retries, overflow = after.retries - before.retries, after.overflow - before.overflow
    singles, ejections = after.singles - before.singles, after.ejections - before.ejections
    silent = after.silent - before.silent
    if latency is None or min(begun, ended, retries, overflow, singles, silent, ejections, *codes.values()) < 0:
        return Window(_WENT_BACK)
    return Window(
        seconds=max(0.0, after.at - before.at),
        codes={status: count for status, count in codes.items() if count},
        silent=silent,
        unanswered=max(0, begun - ended - after.active),
        singles=singles,
        retries=retries,
        overflow=overflow,
        active=after.active,
        healthy=after.healthy,
        pending=after.pending,
        total=after.total,
        ejected=after.ejected,
        ejections=ejections,
        latency=latency,
    )
