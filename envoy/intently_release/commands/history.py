"""intently-release history."""

import argparse
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from intently_release.commands.desk import Desk


async def history(desk: Desk, options: argparse.Namespace) -> int:
    """Shows what was done; returns the exit code.

    Raises:
        StateProblem: if it cannot be read.
    """
    entries = desk.history.entries()[-options.n :] if options.n > 0 else ()
    if options.json:
        for entry in entries:
            sys.stdout.write(entry.model_dump_json() + "\n")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("at", "what", "color", "new calls", "revision", "why"):
        table.add_column(column, no_wrap=column != "why", overflow="fold")
    for entry in entries:
        at = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        share = f"{entry.weights[entry.color]} %" if entry.weights and entry.color else ""
        cells = (str(entry.event), str(entry.color or ""), share, entry.revision[:12], "; ".join(entry.reasons))
        table.add_row(*map(Text, (at, *cells)))  # no markup: a reason may quote anything
    Console().print(table if entries else "nothing was done here yet")
    return 0
