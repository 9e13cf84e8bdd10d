"""The table of a release: both colors side by side, with all that was seen of them."""

import io

from rich.console import Console

from intently_release.colors import Color, split
from intently_release.commands.show import table_of
from intently_release.release.reporting import ColorView, Look

VIEWS = {
    Color.GREEN: ColorView(calls=75, per_s=15.04, errors=3, p50_ms=4.0, p99_ms=64.26, healthy=1, servers=2),
    Color.BLUE: ColorView(calls=1425, per_s=285.0, errors=0, p50_ms=None, p99_ms=None, healthy=2, servers=2),
}


def test_both_colors_stand_side_by_side_with_all_that_was_seen_of_them() -> None:
    out = io.StringIO()
    look = Look("25 %", split(Color.GREEN, 25), 1.0, Color.GREEN, VIEWS, "good", "It is well.")
    Console(file=out, width=160).print(table_of(look))

    rows = [line.strip("│").split("│") for line in out.getvalue().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["blue", "75 %", "285.0", "1425", "0", "-", "-", "2/2"],
        ["green (canary)", "25 %", "15.0", "75", "3", "4.0", "64.3", "1/2"],
    ]
