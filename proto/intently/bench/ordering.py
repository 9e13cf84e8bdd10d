"""From the options of the command line to what is to be measured."""

import argparse
import dataclasses

from intently.bench.leg import Leg
from intently.bench.plan import Plan, Shape
from intently.bench.studies.kind import Kind
from intently.bench.studies.order import Order
from intently.bench.studies.ramp import legs_of
from intently.bench.studies.searching import SearchOptions
from intently.bench.targets.target import Speech
from intently.bench.thresholds import Threshold


def order_of(options: argparse.Namespace, plan: Plan) -> Order:
    """What the options ask for.

    Raises:
        ValueError: if they do not fit together.
    """
    if options.ramp is not None:
        plan = dataclasses.replace(plan, rate=options.ramp[0])  # the loop is open from the first step on
    addresses = [each for each in (options.address, options.against) if each is not None]
    plans = tuple(_in_one_process(dataclasses.replace(plan, address=address)) for address in addresses)
    if len({each.address for each in plans}) < len(plans):
        raise ValueError(f"--against names {plan.address}, which is measured already")
    kind = _kind_of(options)
    thresholds = _thresholds_of(options)
    for threshold in thresholds:
        if threshold.is_ratio and len(plans) == 1:
            raise ValueError(f"{threshold.figure} needs --against")
        if threshold.needs is Kind.SEARCH and kind is not Kind.SEARCH:
            raise ValueError(f"{threshold.figure} needs --slo")
        if threshold.is_ratio and kind is Kind.SEARCH and not threshold.figure.startswith("ratio"):
            raise ValueError(f"a search with --against gives the ratio of the rates found, and no {threshold.figure}")
    return Order(
        kind=kind,
        plans=plans,
        legs=tuple(legs_of(Leg.first(plan), options.ramp, options.ramp_concurrency)),
        rounds=options.rounds,
        search=_search_of(options),
        thresholds=thresholds,
        allow_limited=options.allow_limited,
    )


def _in_one_process(plan: Plan) -> Plan:
    """A target in Python lives in one process, however many the others get."""
    return dataclasses.replace(plan, processes=1) if plan.target.kind is Speech.PYTHON else plan


def _kind_of(options: argparse.Namespace) -> Kind:
    ramp = options.ramp is not None or options.ramp_concurrency is not None
    if options.slo is not None:
        if ramp or options.requests is not None:
            raise ValueError("--slo chooses rates and how much to send: leave out ramps and --requests")
        if options.rate is None and Shape(options.shape) is Shape.STREAM:
            raise ValueError("--slo with streams needs a --rate to begin with: they are opened for one kind of loop")
        return Kind.SEARCH
    if options.against is not None:
        if ramp:
            raise ValueError("--against goes with one load: leave out the ramp")
        return Kind.COMPARISON
    return Kind.RAMP if ramp else Kind.RUN


def _search_of(options: argparse.Namespace) -> SearchOptions | None:
    if options.slo is None:
        return None
    return SearchOptions(options.slo, options.precision, options.confirmations, options.allow_limited)


def _thresholds_of(options: argparse.Namespace) -> tuple[Threshold, ...]:
    thresholds = list(options.fail_if)
    if options.max_p99 is not None:
        thresholds.append(Threshold("p99", below=False, bound=options.max_p99))
    if options.max_errors is not None:
        thresholds.append(Threshold("errors", below=False, bound=options.max_errors))
    return tuple(thresholds)
