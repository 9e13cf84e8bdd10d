"""Tables in Markdown, of the records of studies."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from support.benchmarks.figures import Leg, found_rates, legs, ratio
from support.benchmarks.wanted import Wanted

NAMES = {
    "envoy": "ours, through Envoy",
    "server": "ours, without Envoy",
    "serve": "`vllm serve`",
    "serve4": "`vllm serve`, four front-end processes",
    "bare": "bare engine",
    "other": "the other",
    "one": "one GPU",
    "two": "two GPUs",
}
_LATENCY = ("p50, ms", "p99, ms")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """One in Markdown: the first column is text, the others are figures."""
    lines = ["|".join(["", *heads, ""]), "|".join(["", "---", *["---:"] * (len(heads) - 1), ""])]
    return "\n".join([*lines, *("|".join(["", *row, ""]) for row in rows)])


def of_wanted(figures: Iterable[Wanted]) -> str:
    """What is wanted, and what was measured."""
    met = {True: "yes", False: "**no**", None: "not measured"}
    rows = [
        (each.what, _bound(each), "-" if each.measured is None else f"{each.measured:.3g} {each.unit}", met[each.met])
        for each in figures
    ]
    return table(("", "wanted", "measured", "met"), rows)


def of_rates(runs: Mapping[str, Any]) -> str:
    """What searches found, and the ratio of the first over the second."""
    found = found_rates(runs)
    rows = [
        (
            NAMES[each.role],
            f"{each.per_s:,.0f}" if each.per_s else "none",
            f"{each.asked:,.0f}" if each.asked else "none",
            "-" if each.failed_above is None else f"{each.failed_above:,.0f}",
            "yes" if each.confirmed else "no",
        )
        for each in found
    ]
    lines = [table(("", "calls/s", "of asked", "failed at", "passed again"), rows)]
    return "\n\n".join([*lines, *_ratios(runs)])


def of_legs(runs: Mapping[str, Any], what: str = "", *, whole: bool = False) -> str:
    """Every load that was measured, a row each. A star: the generator was the limit.

    Args:
        what: The runs are about; a column with their names but for the last word, none if empty.
        whole: Whether that word, which is the load or the turn elsewhere, belongs to the name.
    """
    heads = (what or "target", *(("target",) if what else ()), "load", "answers/s", *_LATENCY, "errors")
    rows = []
    for leg in legs(runs):
        name = leg.run if whole else leg.run.rpartition(" ")[0]
        named = (name, NAMES[leg.role]) if what else (NAMES[leg.role],)
        rows.append((*named, _load(leg), *_figures(leg), str(leg.errors)))
    return "\n\n".join([table(heads, rows), *_ratios(runs)])


def _ratios(runs: Mapping[str, Any]) -> Iterator[str]:
    """What the first target did in each run, over the second: answers a second, and where it lies by chance."""
    for name, run in runs.items():
        told = run["report"].get("ratios", {}).get("ratio")
        if told and ratio(runs, name) is not None:
            first, second, *_ = run["roles"]
            ends = told["low"], told["high"]
            within = "" if None in ends else f" ({ends[0]:.3f} to {ends[1]:.3f})"
            yield f"{name}: {NAMES[first]}, over {NAMES[second]}: **{told['value']:.3f}**{within}"


def of_loops(runs: Mapping[str, Any]) -> str:
    """Closed loops, a row for each number of callers; rates and latencies of each target beside each other."""
    found = {(leg.run, leg.at_once): leg for leg in legs(runs)}
    columns = [*dict.fromkeys(leg.run for leg in found.values())]
    roles = {leg.run: leg.role for leg in found.values()}
    heads = ["callers", *(f"{NAMES[roles[run]]}: answers/s, p50, p99 ms" for run in columns)]
    rows = [
        [str(at_once), *(_cell(found.get((run, at_once))) for run in columns)]
        for at_once in sorted({leg.at_once for leg in found.values() if leg.at_once is not None})
    ]
    return table(heads, rows)


def of_notes(notes: Mapping[str, Any]) -> Iterator[str]:
    """Figures that stand by themselves, as lines of a list."""
    for name, value in notes.items():
        if isinstance(value, float | int):
            yield f"- {name}: {value:g}"


def _bound(each: Wanted) -> str:
    least = "" if each.least is None else f"≥ {each.least:g} {each.unit}"
    return least or f"≤ {each.most:g} {each.unit}".rstrip()


def _cell(leg: Leg | None) -> str:
    return "-" if leg is None else " / ".join(_figures(leg))


def _figures(leg: Leg) -> tuple[str, str, str]:
    return f"{leg.per_s:,.0f}{'*' if leg.limited else ''}", f"{leg.p50_ms:.1f}", f"{leg.p99_ms:.1f}"


def _load(leg: Leg) -> str:
    return f"{leg.rate:,.0f}/s" if leg.rate is not None else f"{leg.at_once} at once"
