"""Whether the generator itself was the limit, so that its figures say nothing of the server."""

from dataclasses import dataclass

from intently.bench.histogram import Histogram
from intently.bench.result import Result

BUSY = 0.9  # of one core: above it, an event loop has no time left in which to be punctual
LAG_FLOOR_S = 0.001
LAG_SHARE = 0.1  # of the median latency
MORE = "use more --processes, on a machine with free cores"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the generator was the limit; no reason if it was not.

    Attributes:
        reasons: All of them.
        own: Those that hold even if the server could not keep up: sends that waited for it are not among them.
    """

    reasons: tuple[str, ...]
    own: tuple[str, ...] = ()

    @property
    def limited_by_generator(self) -> bool:
        """Whether it was."""
        return bool(self.reasons)


def judge(result: Result, *, in_process: bool = False) -> Verdict:
    """Looks for signs that the generator was the limit, in the window.

    The thresholds: a process used more than 90 % of a core; the 99th percentile of the scheduling lag (how long after
    it was due a send began; open loop), or of the loop lag (how late the event loop called back), is over 1 ms and
    over 10 % of the median latency; sends waited because --max-outstanding were unanswered; sends were never begun.

    Args:
        in_process: The target runs in the generator's own process: its processor time and the event loop's lag are the
            target's too, and are no signs.
    """
    own, waited = [] if in_process else _own_signs(result), []
    if not in_process:
        waited = _late("sends began", result.total.lag, result)
    if result.total.held_back:
        waited.append(f"{result.total.held_back} sends waited for a place; raise --max-outstanding, or lower --rate")
    if result.unsent:
        waited.append(f"{result.unsent} sends that were due never began")
    return Verdict((*own, *waited), tuple(own))


def _own_signs(result: Result) -> list[str]:
    busiest = max(result.processes, key=lambda process: process.cpu, default=None)
    reasons = []
    if busiest is not None and busiest.cpu > BUSY:
        reasons.append(f"{busiest.name} used {busiest.cpu:.0%} of a core; {MORE}")
    return reasons + _late("the event loop was", result.loop_lag, result)


def _late(name: str, lag: Histogram, result: Result) -> list[str]:
    allowed = max(LAG_FLOOR_S, LAG_SHARE * result.total.latency.percentile(50))
    late = lag.percentile(99)
    if late <= allowed:
        return []
    share = f"1 ms, or {LAG_SHARE:.0%} of p50"
    return [f"{name} late: p99 {late * 1e3:.1f} ms, over {allowed * 1e3:.1f} ms ({share}); {MORE}"]
