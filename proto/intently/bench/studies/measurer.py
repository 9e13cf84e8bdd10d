"""Measures one target, leg after leg, over connections that stay open."""

import asyncio
from collections.abc import Callable

from intently.bench.collector import Collector, Second
from intently.bench.fleet import Fleet
from intently.bench.leg import Leg
from intently.bench.plan import Plan
from intently.bench.progress import Progress
from intently.bench.result import Result, add_up
from intently.bench.studies.study import Run
from intently.bench.targets.target import Speech
from intently.bench.verdict import judge

Hopeless = Callable[[Result], bool]  # asked each second whether the leg's outcome is clear already


class Measurer:
    """One target.

    Args:
        plan: What is the same in all legs.
        fleet: Its processes, connected.
        progress: Sees each second.
        stop: Set when nothing more is to be measured.
    """

    def __init__(self, plan: Plan, fleet: Fleet, progress: Progress, stop: asyncio.Event) -> None:
        self.plan = plan
        self._fleet = fleet
        self._progress = progress
        self._stop = stop
        self.runs: list[Run] = []

    @property
    def target(self) -> str:
        """Its address, as it was given."""
        return self.plan.address

    @property
    def over(self) -> bool:
        """Whether nothing more can be measured: the user has stopped it, or a process has ended."""
        return self._stop.is_set() or not self._fleet.ready

    async def measure(self, leg: Leg, *, number: int = 1, last: bool = False, hopeless: Hopeless | None = None) -> Run:
        """Measures once."""
        cut_short = False

        def on_second(second: Second) -> None:
            nonlocal cut_short
            self._progress.show(second)
            if hopeless is not None and not cut_short and hopeless(add_up(self._fleet.records, collector)):
                cut_short = True
                self._fleet.cut_short()

        plan = leg.of(self.plan)
        collector = Collector(plan.processes, on_second)
        self._progress.begin(self.target, plan)
        records = await self._fleet.measure(leg, collector.take, last=last)
        result = add_up(records, collector)
        verdict = judge(result, in_process=plan.target.kind is Speech.PYTHON)
        run = Run(self.target, plan, result, verdict, cut_short, number)
        self._progress.end(run)
        self.runs.append(run)
        return run
