"""The command `intently-build distill`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Asks a recipe's teachers, and trains its student on their answers; run again, it goes on where it stopped."
    parser = commands.add_parser("distill", help=about, description=about)
    parser.add_argument("recipe", type=Path, help="the recipe, a YAML file with a section distill")
    parser.add_argument("--output", type=Path, help="folder of the run (default: runs/ and the recipe's name)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: %(default)s)"
    )
    parser.add_argument("--restart", action="store_true", help="throw away an earlier run in that folder")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.running import distill

    distill(parsed.recipe, parsed.output, parsed.device, parsed.restart, Console())
