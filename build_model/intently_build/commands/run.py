"""The command `intently-build run`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Performs every step of a recipe, from its model to its bundle; run again, it goes on where it stopped."
    parser = commands.add_parser("run", help=about, description=about)
    parser.add_argument("recipe", type=Path, help="the recipe, a YAML file")
    parser.add_argument("--output", type=Path, help="folder of the run (default: runs/ and the recipe's name)")
    parser.add_argument("--bundle", type=Path, help="folder of the bundle (default: bundle in the folder of the run)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train (default: %(default)s)"
    )
    parser.add_argument("--restart", action="store_true", help="throw away an earlier run in that folder")
    parser.add_argument("--replace", action="store_true", help="write over a bundle that this run did not make")
    parser.add_argument(
        "--evaluate",
        choices=("server", "transformers"),
        help="ask the bundle about the test rows in the end, through the server or in transformers; against the "
        "unquantized bundle where the recipe quantizes. Ends with 1 if it loses more than evaluate.gate allows",
    )
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    from rich.console import Console

    from intently_build.running import Run, run

    asked = Run(
        parsed.recipe, parsed.output, parsed.bundle, parsed.device, parsed.restart, parsed.replace, parsed.evaluate
    )
    return 0 if run(asked, Console()) else 1
