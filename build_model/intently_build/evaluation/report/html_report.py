"""An evaluation as a page of HTML, for people: it holds its style and its plots, and fetches nothing."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from intently_build.errors import BuildError
from intently_build.evaluation.figures import BundleResult, IntentFigures, Results
from intently_build.evaluation.gate import Gate
from intently_build.evaluation.new_rows import in_words
from intently_build.evaluation.per_intent import absent_in_words
from intently_build.evaluation.report.json_report import results_json, write_text
from intently_build.evaluation.report.plots import (
    confusion_plot,
    out_of_scope_plot,
    reliability_plot,
    series,
    size_plot,
    speed_plot,
)

_LISTED = 15  # confusions and intents in a table


def write_reports(page: Path, results: Results, gate: Gate, failures: Sequence[str], notes: Sequence[str] = ()) -> None:
    """Writes the page, and the JSON beside it under the same name. Raises BuildError if they cannot be written."""
    try:
        write_text(page.with_suffix(".json"), results_json(results, gate, failures))
        write_text(page, results_html(results, gate, failures, notes))
    except OSError as error:
        raise BuildError(f"{page}: cannot write the report: {error}") from error


def results_html(results: Results, gate: Gate, failures: Sequence[str], notes: Sequence[str] = ()) -> str:
    """Returns the page; `notes` stand above the tables."""
    environment = Environment(
        loader=PackageLoader("intently_build.evaluation", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.jinja")
    return template.render(
        results=results,
        gate=gate,
        failures=failures,
        notes=notes,
        new_rows=in_words(results.new_rows) if results.new_rows and results.new_rows.repeated else "",
        absent=absent_in_words(results),
        overview=_overview(results),
        plots={bundle.name: _plots(bundle) for bundle in results.bundles},
        lowest={bundle.name: _lowest(bundle.quality.intents) for bundle in results.bundles},
        series=series,
        listed=_LISTED,
        on_gpu=any(bundle.performance and bundle.performance.peak_gpu_memory_bytes for bundle in results.bundles),
    )


def _overview(results: Results) -> list[Markup]:
    plots = [size_plot(results.bundles)]
    if any(bundle.performance for bundle in results.bundles):
        plots.insert(0, speed_plot(results.bundles))
    if results.out_of_scope_rows:
        curves = [(each.name, each.quality.out_of_scope.curve) for each in results.bundles if each.quality.out_of_scope]
        plots.append(out_of_scope_plot(curves))
    return [_markup(plot) for plot in plots]


def _plots(bundle: BundleResult) -> list[Markup]:
    found = [reliability_plot(bundle.quality.bins, f"Reliability of {bundle.name}")]
    if bundle.quality.confusions:
        found.append(confusion_plot(bundle.quality, f"The most confused intents of {bundle.name}, rows"))
    return [_markup(plot) for plot in found]


def _lowest(intents: Sequence[IntentFigures]) -> list[IntentFigures]:
    """Returns the intents with the least F1 among those that occur."""
    return sorted((each for each in intents if each.rows), key=lambda each: (each.f1, each.intent))[:_LISTED]


def _markup(svg: str) -> Markup:
    """Marks a drawing as HTML: `svg.py` builds it as a tree, which escapes every text in it."""
    return Markup(svg)  # noqa: S704
