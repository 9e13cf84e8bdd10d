"""Whether the generator itself was the limit, so that its figures say nothing of the server."""

from dataclasses import dataclass

from intently.bench.result import Result

BUSY = 0.9  # of one core: above it, an event loop has no time left in which to be punctual
LAG_FLOOR_S = 0.001
LAG_SHARE = 0.1  # of the median latency
MORE = "use more --processes, on a machine with free cores"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the generator was the limit; no reason if it was not."""

    reasons: tuple[str, ...]

    @property
    def limited_by_generator(self) -> bool:
        """Whether it was."""
        return bool(self.reasons)


def judge(result: Result) -> Verdict:
    """Looks for signs that the generator was the limit, in the window.

    The thresholds: a process used more than 90 % of a core; the 99th percentile of the scheduling lag (how long after
    it was due a send began; open loop), or of the loop lag (how late the event loop called back), is over 1 ms and
    over 10 % of the median latency; sends waited because --max-outstanding were unanswered; sends were never begun.
    """
    median = result.total.latency.percentile(50)
    allowed = max(LAG_FLOOR_S, LAG_SHARE * median)
    busiest = max(result.processes, key=lambda process: process.cpu, default=None)
    reasons = []
    if busiest is not None and busiest.cpu > BUSY:
        reasons.append(f"{busiest.name} used {busiest.cpu:.0%} of a core; {MORE}")
    for name, lag in (("sends began", result.total.lag), ("the event loop was", result.loop_lag)):
        if lag.count and lag.percentile(99) > allowed:
            late, share = lag.percentile(99) * 1e3, LAG_SHARE
            reasons.append(
                f"{name} late: p99 {late:.1f} ms, over {allowed * 1e3:.1f} ms (1 ms, or {share:.0%} of p50); {MORE}"
            )
    if result.total.held_back:
        reasons.append(f"{result.total.held_back} sends waited for a place; raise --max-outstanding, or lower --rate")
    if result.unsent:
        reasons.append(f"{result.unsent} sends that were due never began")
    return Verdict(tuple(reasons))
