"""The console for tables: as wide as the terminal, and wide enough for every figure where there is none."""

import os

from rich.console import Console

WIDE = 200  # columns of a pipe or a file, which would be taken for a terminal of 80


def table_console() -> Console:
    """Returns it; the variable COLUMNS decides where it is set."""
    console = Console()
    return console if console.file.isatty() or "COLUMNS" in os.environ else Console(width=WIDE)
