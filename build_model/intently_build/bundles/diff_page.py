"""The differences of two bundles as text and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from intently_build.bundles.diff import BundleDiff, Change
from intently_build.bundles.page import megabytes

_LONGEST = 60  # characters of a value on the page; JSON has all of them


def diff_json(difference: BundleDiff) -> dict[str, object]:
    """Returns all of it; evaluations with the difference of each figure."""
    evaluations = [asdict(change) | {"difference": change.difference} for change in difference.evaluations]
    return {"same": difference.same} | asdict(difference) | {"evaluations": evaluations}


def print_diff(difference: BundleDiff, console: Console) -> None:
    """Prints what differs, by sections; nothing but one line if nothing does."""
    if difference.same:
        console.print("no difference", highlight=False)
        return
    labels = difference.labels
    rows = [
        (f"{what} ({len(names)})", ", ".join(names), "")
        for what, names in (("added", labels.added), ("removed", labels.removed), ("in another order", labels.moved))
        if names
    ]
    rows += [("renamed", str(change.before), str(change.after)) for change in labels.renamed]
    rows += [(f"reworded {change.what}", _short(change.before), _short(change.after)) for change in labels.reworded]
    _section(console, "labels", rows)
    _section(console, "fields", [(change.what, *_sides(change)) for change in difference.fields])
    _section(console, "evaluations", [_figure(change) for change in difference.evaluations])
    sizes = [(change.what, _size(change.before), _size(change.after)) for change in difference.files]
    total = difference.bytes
    _section(console, "files", [*sizes, ("all files", _megabytes(total.before), _megabytes(total.after))])


def _section(console: Console, title: str, rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for _ in rows[0]:
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(title, style="bold", highlight=False, markup=False)
    console.print(Padding(table, (0, 0, 1, 2)), highlight=False, markup=False)


def _figure(change: Change) -> tuple[str, str, str, str]:
    difference = change.difference
    return (change.what, *_sides(change), "" if difference is None else f"{difference:+.4g}")


def _sides(change: Change) -> tuple[str, str]:
    return _short(change.before), _short(change.after)


def _short(value: object) -> str:
    """Returns a value in a few words, on one line."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _size(file: object) -> str:
    return f"{file['size']:,} bytes, {file['sha256'][:12]}…" if isinstance(file, dict) else "-"


def _megabytes(size: object) -> str:
    return megabytes(size) if isinstance(size, int) else "-"
