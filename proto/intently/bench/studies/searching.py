"""Searches the highest rate at which a latency is met; with two targets, probe by probe in turn."""

import asyncio
import dataclasses
import statistics
from collections.abc import Sequence

from intently.bench.leg import Leg
from intently.bench.plan import Plan, Shape
from intently.bench.result import Result
from intently.bench.studies.measurer import Measurer
from intently.bench.studies.rate_search import RateSearch
from intently.bench.studies.slo import Slo
from intently.bench.studies.study import Found, Probe

_GUESS_AT_ONCE = 64  # calls under way in the closed loop that says where to begin
_GUESS_S = 3.0
_BEGIN_AT = 0.8  # of what the closed loop answered
_IDLE = 0.2  # calls under way, by the median latency: a server that is too slow with so few is no quicker with fewer
_SURELY = 1.2  # times the allowed sends over the latency, for the schedule may hold more than was counted on
_SURELY_MORE = 10


@dataclasses.dataclass(frozen=True, slots=True)
class SearchOptions:
    """How a search goes.

    Attributes:
        slo: The latency to be met.
        precision: How near the rate that failed must be to the one that passed, as a share of it.
        confirmations: How often the rate found is measured again.
        trust: Whether to go on where the generator was the limit.
    """

    slo: Slo
    precision: float
    confirmations: int
    trust: bool


class TargetSearch:
    """The search on one target."""

    def __init__(self, measurer: Measurer, options: SearchOptions) -> None:
        self._measurer = measurer
        self._options = options
        self._search: RateSearch | None = None
        self._probes: list[Probe] = []
        self._limits: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to probe."""
        if self._measurer.over or self._limits:
            return True
        return self._search is not None and self._search.next_rate() is None

    async def step(self) -> None:
        """Measures once: first what the target answers at most, roughly; then one rate after the other."""
        if self._search is None:
            first = await self._first_rate()
            self._search = RateSearch(first, self._options.precision, self._options.confirmations)
            return
        rate, confirming = self._search.next_rate(), self._search.confirming
        if rate is None:
            return
        slo, leg = self._options.slo, self._leg(rate)
        planned = rate * (leg.duration_s or 0.0)

        def hopeless(result: Result) -> bool:
            bad = result.total.latency.over(slo.limit_s) + result.total.failed.count
            return bad > _SURELY * slo.allowed * planned + _SURELY_MORE

        run = await self._measurer.measure(leg, number=len(self._probes) + 1, hopeless=hopeless)
        if self._measurer.over:
            return  # nobody knows how it would have ended
        passed = slo.met(run.result) and not run.cut_short
        limits = run.verdict.reasons if passed else run.verdict.own
        if limits and not self._options.trust:
            self._limits = tuple(f"at {run.load}: {reason}" for reason in limits)
            return
        value, bad_share = run.result.total.latency.percentile(slo.percent), slo.bad_share(run.result)
        sent_per_s = run.result.sent_per_s
        self._probes.append(Probe(rate, passed, confirming, sent_per_s, value, bad_share, run.cut_short))
        self._search.tell(rate, passed)
        if not passed and 0 < rate * run.result.total.latency.percentile(50) < _IDLE:
            self._search.give_up()

    def found(self) -> Found:
        """How it ended."""
        search = self._search
        rate = None if search is None else search.found
        sent = [probe.sent_per_s for probe in self._probes if probe.rate == rate]
        return Found(
            target=self._measurer.target,
            slo=self._options.slo,
            rate=rate,
            sent_per_s=statistics.fmean(sent) if sent else 0.0,
            failed_above=None if search is None else search.failed_above,
            confirmed=search is not None and search.confirmed,
            probes=tuple(self._probes),
            limits=self._limits,
        )

    async def _first_rate(self) -> float:
        plan = self._measurer.plan
        if plan.rate is not None:
            return plan.rate
        leg = dataclasses.replace(Leg.first(plan), concurrency=_at_once(plan), duration_s=_GUESS_S, requests=None)
        run = await self._measurer.measure(leg, number=0)
        answered = run.result.total.latency.count / run.result.window_s if run.result.window_s else 0.0
        return max(1.0, _BEGIN_AT * answered)

    def _leg(self, rate: float) -> Leg:
        """A probe that lasts until enough was sent to judge it, and never shorter than the plan says."""
        plan = self._measurer.plan
        duration_s = max(plan.duration_s or 0.0, self._options.slo.least_sends / rate)
        seed = plan.seed + len(self._probes)
        return dataclasses.replace(Leg.first(plan), rate=rate, duration_s=duration_s, requests=None, seed=seed)


async def search_in_turn(measurers: Sequence[Measurer], options: SearchOptions) -> tuple[Found, ...]:
    """Searches on each target, a probe of each in turn; who has found waits for the other."""
    searches = [TargetSearch(measurer, options) for measurer in measurers]
    while any(not search.over for search in searches) and not any(measurer.over for measurer in measurers):
        for search in searches:
            if not search.over:
                await search.step()
        await asyncio.sleep(0)
    return tuple(search.found() for search in searches)


def _at_once(plan: Plan) -> int:
    return plan.concurrency if plan.shape is Shape.STREAM else max(_GUESS_AT_ONCE, plan.processes)
