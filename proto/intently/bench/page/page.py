"""A study as a page of HTML, for people: it holds its style and its plots, and fetches nothing."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from intently.bench.ending import Ending
from intently.bench.page import plots
from intently.bench.plan import Plan
from intently.bench.studies.kind import Kind
from intently.bench.studies.rows import HEADINGS, row_of
from intently.bench.studies.study import Run, Study
from intently.bench.summary import conclusions
from intently.bench.tally import Tally

_TITLES = {
    Kind.RUN: "One load",
    Kind.RAMP: "A ramp of loads",
    Kind.SEARCH: "The highest rate within a latency",
    Kind.COMPARISON: "Two targets in turn",
}
_DRAWN_RATIOS = {"ratio": "Ratio of goodput", "p50-ratio": "Ratio of p50", "p99-ratio": "Ratio of p99"}


def page_of(plan: Plan, study: Study, ending: Ending, started: datetime) -> str:
    """The page. What is withheld is not on it."""
    told = dataclasses.replace(study, runs=tuple(run for run in study.runs if not ending.withholds(study, run)))
    environment = Environment(
        loader=PackageLoader("intently.bench", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        title=_TITLES[study.kind],
        study=study,
        ending=ending,
        started=started.isoformat(sep=" ", timespec="seconds"),
        headings=HEADINGS,
        rows=[row_of(run, withheld=ending.withholds(study, run)) for run in study.runs],
        conclusions=list(conclusions(told)) if told.runs else [],
        plots=[_markup(plot) for plot in _overview(told)] if told.runs else [],
        lines=[(_name(run), [_markup(plot) for plot in _lines(study, run)]) for run in told.runs if run.result.series],
        series=plots.series,
        plan=plan,
    )


def _overview(study: Study) -> Iterator[str]:
    answered = [run for run in study.runs if run.result.total.latency.count]
    if steps := _steps(study, answered):
        yield plots.latency_over_load(steps, study.targets)
    if any(each.probes for each in study.found):
        yield plots.probes(study.found)
    tallies = _tallies(study)
    if any(tally.latency.count for tally in tallies.values()):
        yield plots.distribution(tallies)
    for name, ratio in study.ratios:
        if ratio.rounds and name in _DRAWN_RATIOS:
            yield plots.ratio_by_round(_DRAWN_RATIOS[name], ratio)


def _steps(study: Study, answered: list[Run]) -> list[Run]:
    """Steps of a ramp, or the probes of a search that went to their end, by load."""
    if study.kind is Kind.SEARCH:
        answered = [run for run in answered if run.plan.rate is not None and not run.cut_short]
    elif study.kind is not Kind.RAMP:
        return []
    return sorted(answered, key=lambda run: run.result.answered_per_s)


def _tallies(study: Study) -> dict[str, Tally]:
    """What the distribution is drawn of: each step of a ramp, each target otherwise."""
    tallies: dict[str, Tally] = {} if study.kind is Kind.RAMP else {target: Tally() for target in study.targets}
    rates = {each.target: each.rate for each in study.found}
    for run in study.runs:
        if study.kind is Kind.SEARCH and run.plan.rate != rates[run.target]:
            continue
        name = run.load if study.kind is Kind.RAMP else run.target
        tallies.setdefault(name, Tally()).add(run.result.total)
    return tallies


def _lines(study: Study, run: Run) -> Iterator[str]:
    number = study.targets.index(run.target)
    yield plots.latency_over_time(run, number)
    yield plots.rates_over_time(run, number)


def _name(run: Run) -> str:
    return f"{run.target}, {run.load}" + (f", {run.number}" if run.number > 1 else "")


def _markup(svg: str) -> Markup:
    """Marks a drawing as HTML: `svg.py` builds it as a tree, which escapes every text in it."""
    return Markup(svg)  # noqa: S704
