"""Carries out what was ordered: opens the targets, measures, and concludes."""

import asyncio
import contextlib
import time

from intently.bench.fleet import Fleet
from intently.bench.progress import Progress
from intently.bench.studies.comparing import measure_in_turn, ratios_of
from intently.bench.studies.kind import Kind
from intently.bench.studies.measurer import Measurer
from intently.bench.studies.order import Order
from intently.bench.studies.ramp import measure_legs
from intently.bench.studies.ratio import Ratio, ratio_between
from intently.bench.studies.searching import search_in_turn
from intently.bench.studies.study import Found, Run, Study


async def measure(order: Order, progress: Progress, stop: asyncio.Event, kill: asyncio.Event) -> Study:
    """Measures all of it, or what there is time for until `stop` is set; `kill` ends it at once."""
    began, cpu = time.monotonic(), time.process_time()
    async with contextlib.AsyncExitStack() as stack:
        fleets = [await stack.enter_async_context(Fleet(plan, stop, kill)) for plan in order.plans]
        measurers = [Measurer(plan, fleet, progress, stop) for plan, fleet in zip(order.plans, fleets, strict=True)]
        found: tuple[Found, ...] = ()
        if order.kind is Kind.RUN:
            await measurers[0].measure(order.legs[0], last=True)
        elif not all(fleet.ready for fleet in fleets):
            pass  # their faults say why
        elif order.kind is Kind.COMPARISON:
            await measure_in_turn(measurers, order.legs, order.rounds)
        elif order.search is not None:
            found = await search_in_turn(measurers, order.search)
        else:
            await measure_legs(measurers[0], order.legs)
        faults = _faults(fleets, order)
    return Study(
        kind=order.kind,
        targets=tuple(plan.address for plan in order.plans),
        runs=_in_order(measurers),
        found=found,
        ratios=_ratios(order, measurers, found),
        faults=faults,
        interrupted=stop.is_set(),
        parent_cpu=(time.process_time() - cpu) / (time.monotonic() - began),
    )


def _faults(fleets: list[Fleet], order: Order) -> tuple[str, ...]:
    several = len(fleets) > 1
    return tuple(
        f"{f'{plan.address}, ' if several else ''}{record.name}: {record.fault}"
        for fleet, plan in zip(fleets, order.plans, strict=True)
        for record in fleet.records
        if record.fault
    )


def _in_order(measurers: list[Measurer]) -> tuple[Run, ...]:
    """Runs by number, and of the same number the first target's first."""
    runs = [run for measurer in measurers for run in measurer.runs]
    return tuple(sorted(runs, key=lambda run: run.number))


def _ratios(order: Order, measurers: list[Measurer], found: tuple[Found, ...]) -> tuple[tuple[str, Ratio], ...]:
    if order.kind is Kind.COMPARISON:
        return ratios_of(measurers[0].runs, measurers[1].runs)
    if len(found) == 2 and all(each.rate is not None and not each.limits for each in found):
        first, second = ((each.sent_per_s, each.failed_above) for each in found)
        ratio = ratio_between(first, second)
        return () if ratio is None else (("ratio", ratio),)
    return ()
