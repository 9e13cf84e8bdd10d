"""A comparison and a choice as tables on the terminal, and the choice as JSON."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from intently_build.comparing.choosing import Chosen, Limits, Verdict
from intently_build.comparing.clause import one_clause
from intently_build.comparing.compared import Choice, Compared
from intently_build.evaluation.figures import Level
from intently_build.planning.gpus import GIB

FEW_CALLS = 200  # of fewer the 99th percentile is little more than the slowest


def print_compared(compared: Compared, console: Console) -> None:
    """Prints the bundles side by side, those on the Pareto front marked, and what was left out."""
    _print_source(compared, console)
    accuracy, macro_f1 = (Column(name, no_wrap=True) for name in ("accuracy", "macro-F1"))
    table = _table("stored", accuracy, macro_f1, "on disk, MB", "memory, GiB", "front")
    for each in compared.choices:
        table.add_row(
            each.name,
            each.stored,
            f"{each.accuracy:.2%} ({_change(each.accuracy_lost)})",
            f"{each.macro_f1:.2%} ({_change(each.macro_f1_lost)})",
            f"{each.bytes_on_disk / 1e6:.2f}",
            _memory(each),
            "yes" if each.name in compared.front else "",
        )
    console.print(table)
    speeds = _table("in flight", "calls", "calls/s", "p50, ms", "p99, ms")
    for each in compared.choices:
        for place, level in enumerate(each.levels):
            speeds.add_row("" if place else each.name, *_level(level))
    if speeds.row_count:
        console.print(speeds)
    for missing in compared.missing:
        console.print(
            f"{missing.name} left out: {one_clause(missing.reason)}", highlight=False, markup=False, soft_wrap=True
        )


def print_chosen(compared: Compared, chosen: Chosen, console: Console) -> None:
    """Prints why each bundle is out, and which one is named."""
    _print_source(compared, console)
    if compared.split == "test":
        console.print("warning: these are test rows, which are for the last figure: compare on validation rows")
    table = _table(Column("accuracy", no_wrap=True), "calls/s", "in flight", "p99, ms", "memory, GiB", "verdict")
    for verdict in chosen.verdicts:
        table.add_row(*_row(verdict, chosen))
    for missing in compared.missing:
        table.add_row(missing.name, *["-"] * 5, "out")
    console.print(table)
    out = [(each.choice.name, "; ".join(excess.text for excess in each.excesses)) for each in chosen.verdicts]
    for name, reason in (*out, *((each.name, one_clause(each.reason)) for each in compared.missing)):
        if reason:
            console.print(f"{name} is out: {reason}", highlight=False, markup=False, soft_wrap=True)
    found = chosen.named or chosen.nearest
    if found is None:
        said = "none keeps the limits, and none was measured well enough to say which is nearest"
    elif chosen.named:
        said = f"{found.name}: {found.bundle}, revision {found.revision[:12]}"
    else:
        said = f"none keeps the limits; {found.name} comes nearest"
    console.print(said, highlight=False, markup=False, soft_wrap=True)
    level = next((verdict.level for verdict in chosen.verdicts if verdict.choice == chosen.named), None)
    if level and level.calls < FEW_CALLS:
        console.print(f"warning: its p99 is that of {level.calls} calls; compare on more rows", highlight=False)


def chosen_json(compared: Compared, chosen: Chosen, limits: Limits) -> dict[str, Any]:
    """Returns the choice with every figure that it rests on."""
    return {
        "machine": asdict(compared.machine),
        "target": compared.target,
        "limits": asdict(limits),
        "named": chosen.named and chosen.named.name,
        "nearest": chosen.nearest and chosen.nearest.name,
        "bundles": [
            asdict(verdict.choice)
            | {"passes": verdict.passes, "out": [excess.text for excess in verdict.excesses]}
            | {"level": verdict.level and _level_json(verdict.level)}
            for verdict in chosen.verdicts
        ],
        "missing": [asdict(each) for each in compared.missing],
    }


def _level_json(level: Level) -> dict[str, Any]:
    return asdict(level) | {"calls_per_second": level.calls_per_second}


def _print_source(compared: Compared, console: Console) -> None:
    console.print(
        f"{compared.recipe} for {compared.target}, measured on {compared.machine.text}: {compared.dataset} "
        f"{compared.split}, {compared.in_scope_rows} rows in scope, {compared.out_of_scope_rows} out of scope; "
        f"memory with a KV cache of {compared.kv_cache_gib:g} GiB",
        highlight=False,
        markup=False,
    )


def _row(verdict: Verdict, chosen: Chosen) -> tuple[str, ...]:
    found, level = verdict.choice, verdict.level
    named = "named" if chosen.named == found else "passes"
    return (
        found.name,
        f"{found.accuracy:.2%} ({_change(found.accuracy_lost)})",
        f"{level.calls_per_second:.1f}" if level else "n/a",
        str(level.in_flight) if level else "n/a",
        f"{level.p99_ms:.1f}" if level else "n/a",
        _memory(found),
        named if verdict.passes else "out",
    )


def _table(*columns: str | Column) -> Table:
    return Table(Column("format", overflow="fold", no_wrap=True), *columns)


def _level(level: Level) -> tuple[str, ...]:
    speed = f"{level.calls_per_second:.1f}"
    return (str(level.in_flight), str(level.calls), speed, f"{level.p50_ms:.1f}", f"{level.p99_ms:.1f}")


def _change(lost: float) -> str:
    return f"{round(-lost, 2) + 0.0:+.2f}"  # a zero is written without a minus


def _memory(found: Choice) -> str:
    return "n/a" if found.memory_bytes is None else f"{found.memory_bytes / GIB:.2f}"
