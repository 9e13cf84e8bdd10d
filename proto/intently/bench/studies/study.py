"""What a run of the command measured: one leg or several, and what follows from them."""

from dataclasses import dataclass

from intently.bench.plan import Plan
from intently.bench.result import Result
from intently.bench.studies.kind import Kind
from intently.bench.studies.ratio import Ratio
from intently.bench.studies.slo import Slo
from intently.bench.verdict import Verdict

_KEPT_UP = 0.95  # of the rate asked for: a server that answers less is overloaded, and makes sends wait


@dataclass(frozen=True, slots=True)
class Run:
    """One leg on one target.

    Attributes:
        target: Its address, as it was given.
        plan: What was done.
        result: What was measured.
        verdict: Whether the generator was the limit.
        cut_short: Whether it was ended before its time, as its outcome was clear.
        number: Of the round, or of the step, from 1.
    """

    target: str
    plan: Plan
    result: Result
    verdict: Verdict
    cut_short: bool = False
    number: int = 1

    @property
    def load(self) -> str:
        """How much load it was, for people."""
        if self.plan.rate is not None:
            return f"{self.plan.rate:.4g}/s" if self.plan.rate < 1000 else f"{self.plan.rate:.0f}/s"
        return f"{self.plan.concurrency} at once"

    @property
    def limits(self) -> tuple[str, ...]:
        """Why the generator was the limit; sends that waited for a server that could not keep up are none."""
        rate = self.plan.rate
        sends_answered = self.result.total.latency.count / self.result.window_s if self.result.window_s else 0.0
        overloaded = rate is not None and sends_answered < _KEPT_UP * rate
        return self.verdict.own if overloaded else self.verdict.reasons


@dataclass(frozen=True, slots=True)
class Probe:
    """One step of a search.

    Attributes:
        rate: Sends a second that were asked for.
        passed: Whether the latency was met.
        confirming: Whether it repeated a rate that had passed.
        sent_per_s: What was sent.
        value_s: The percentile that was measured, of answers.
        bad_share: Share of the sends that were over the latency, or failed.
        cut_short: Whether it was ended before its time, as its outcome was clear.
    """

    rate: float
    passed: bool
    confirming: bool
    sent_per_s: float
    value_s: float
    bad_share: float
    cut_short: bool


@dataclass(frozen=True, slots=True)
class Found:
    """How a search on one target ended.

    Attributes:
        target: Its address, as it was given.
        slo: The latency to be met.
        rate: The highest rate that passed, each time that it was measured; None if there is none.
        sent_per_s: What was really sent a second when it did: of Poisson arrivals, now more and now less come than were
            asked for, and those that were few pass. It is the figure to quote.
        failed_above: The lowest rate above it that failed; None if none did.
        confirmed: Whether it was confirmed as often as was asked for.
        probes: All steps in order.
        limits: Why the generator was the limit, which ended the search; empty if it was not.
    """

    target: str
    slo: Slo
    rate: float | None
    sent_per_s: float
    failed_above: float | None
    confirmed: bool
    probes: tuple[Probe, ...]
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """All that a run of the command measured.

    Attributes:
        kind: What was asked for.
        targets: Their addresses, as they were given.
        runs: Legs in the order in which they were measured.
        found: SEARCH: of each target.
        ratios: With two targets, the first one's figures over the second one's, by name.
        faults: Processes that ended too early, and why.
        interrupted: Whether it was stopped before its end.
        parent_cpu: Processor time of the process that adds up, as a share of one core.
    """

    kind: Kind
    targets: tuple[str, ...]
    runs: tuple[Run, ...]
    found: tuple[Found, ...] = ()
    ratios: tuple[tuple[str, Ratio], ...] = ()
    faults: tuple[str, ...] = ()
    interrupted: bool = False
    parent_cpu: float = 0.0

    @property
    def limits(self) -> tuple[str, ...]:
        """Why the generator was the limit of what it concludes."""
        if self.kind is Kind.SEARCH:
            return tuple(f"{each.target}: {reason}" for each in self.found for reason in each.limits)
        if self.kind is Kind.RUN:
            return tuple(reason for run in self.runs for reason in run.verdict.reasons)
        return tuple(f"{run.target} at {run.load}: {reason}" for run in self.runs for reason in run.limits)
