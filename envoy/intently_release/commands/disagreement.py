"""Shows a disagreement report to people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from intently_release.compare.answers import Decision
from intently_release.compare.mirrored import MirroredReport
from intently_release.compare.report import ColorReport, Report

_MOST_PAIRS = 20


def print_replayed(report: Report, console: Console) -> None:
    """Prints it: the share in a sentence, both colors side by side, and what became what."""
    _print_sentences(report, console)
    console.print(_colors(report))
    if report.pairs:
        console.print(_pairs(report))
        if len(report.pairs) > _MOST_PAIRS:
            console.print(f"and {len(report.pairs) - _MOST_PAIRS} pairs more, in the report of --json")
    if report.strongest is not None:
        console.print(_strongest(report))


def print_mirrored(report: MirroredReport, console: Console) -> None:
    """Prints it: the bound in a sentence that says what it is, and what each color decided how often."""
    stable, canary = report.stable, report.canary
    console.print(
        f"In {report.seconds:g} s {stable.color} ({stable.revision[:12]}) answered {stable.answers} single calls, "
        f"{canary.color} ({canary.revision[:12]}) {canary.answers}."
    )
    if report.differ_share_at_least is None:
        console.print("No call is known to have reached both. Calls are mirrored while `deploy` mirrors them.")
        return
    console.print(
        f"LOWER BOUND: of {report.both_at_least} calls that both answered they differ on {report.differ_at_least} at "
        f"least: {report.differ_share_at_least:.2%}. It may be more: Envoy throws the copies' answers away, and only "
        "how often each color decided what can be compared. A replay of utterances tells the whole."
    )
    table = _table("decided", "stable", "canary", title="How often it was decided")
    for row in [each for each in report.decided if each.stable != each.canary][:_MOST_PAIRS]:
        table.add_row(escape(row.text), str(row.stable), str(row.canary))
    if table.rows:
        console.print(table)


def _print_sentences(report: Report, console: Console) -> None:
    console.print(f"{report.sent} utterances were sent to both colors, and both answered {report.compared} of them.")
    if report.differ_share is not None and report.differ_wilson_95 is not None:
        low, high = report.differ_wilson_95
        console.print(
            f"The colors differ on {report.differ}: {report.differ_share:.2%} (95 % interval {low:.2%} to {high:.2%}): "
            f"{report.intents_differ} in the intent, {report.scopes_differ} in whether there is one, "
            f"{report.ambiguity_differs} in whether it is ambiguous.\n"
            f"Both were confident (at least {report.confident:g}) in {report.confident_differ} of these."
        )
    if (mean := report.mean_confidence_difference_where_they_agree) is not None:
        console.print(f"Where they agree, their confidences differ by {mean:.4f} on average.")
    if set(report.stable.revisions) & set(report.canary.revisions):
        console.print("Both colors answered with the same revision.")
    for each in (report.stable, report.canary):
        if len(each.revisions) > 1:
            console.print(f"{each.color} answered with {len(each.revisions)} revisions: a release went on meanwhile.")
    if report.unusable_lines:
        first = ", ".join(map(str, report.first_unusable_lines))
        console.print(f"{report.unusable_lines} lines are no utterances, the first of them: {first}")


def _colors(report: Report) -> Table:
    table = _table("", "revision", "answered", "errors", "p50 ms", "p99 ms", "confidence where they differ (p10/50/90)")
    for name, each in (("stable", report.stable), ("canary", report.canary)):
        table.add_row(f"{each.color} {name}", (each.revisions or ("-",))[0][:12], *_figures(each))
    return table


def _figures(each: ColorReport) -> tuple[str, ...]:
    errors = ", ".join(f"{count} {status}" for status, count in each.errors.items()) or "0"
    latency = (_number(value, ".1f") for value in each.latency_ms.values())
    confidence = " / ".join(_number(value, ".3f") for value in each.confidence_where_they_differ.values())
    return (str(each.answered), errors, *latency, confidence)


def _pairs(report: Report) -> Table:
    table = _table("stable says", "canary says", "count", title="What became what")
    for pair in report.pairs[:_MOST_PAIRS]:
        table.add_row(*map(escape, pair.texts), str(pair.count))
    return table


def _strongest(report: Report) -> Table:
    table = _table("line", "stable says", "canary says", "UTTERANCE", title="Strongest differences, WITH UTTERANCES")
    for each in report.strongest or ():
        table.add_row(str(each["line"]), _said(each["stable"]), _said(each["canary"]), escape(each["UTTERANCE"]))
    return table


def _said(answer: Mapping[str, Any]) -> str:
    decision = Decision(answer["outcome"], answer["intent"])
    return f"{escape(str(decision))} {answer['confidence']:.3f}"


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        numeric = column in {"answered", "p50 ms", "p99 ms", "count", "line", "stable", "canary"}
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
