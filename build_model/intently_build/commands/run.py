"""The command `intently-build run`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands
from intently_build.commands.run_options import add_run_options


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Performs every step of a recipe, from its model to its bundle; run again, it goes on where it stopped."
    again = (
        "Steps whose recipe or rows changed, whose result was damaged, or which this version makes otherwise than the "
        "one that made them, are made anew."
    )
    parser = commands.add_parser("run", help=about, description=f"{about} {again}")
    add_run_options(parser, "the recipe, a YAML file", "where to train")
    parser.add_argument("--bundle", type=Path, help="folder of the bundle (default: bundle in the folder of the run)")
    parser.add_argument("--replace", action="store_true", help="write over a bundle that this run did not make")
    parser.add_argument(
        "--evaluate",
        choices=("server", "transformers"),
        help="ask the bundle about the test rows in the end, or the validation rows where the recipe names no others, "
        "through the server or in transformers; against the unquantized bundle where the recipe quantizes. Ends with 1 "
        "if it loses more than evaluate.gate allows",
    )
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    from intently_build.running import Run, run
    from intently_build.wide_console import table_console

    asked = Run(
        parsed.recipe, parsed.output, parsed.bundle, parsed.device, parsed.restart, parsed.replace, parsed.evaluate
    )
    return 0 if run(asked, table_console()) else 1
