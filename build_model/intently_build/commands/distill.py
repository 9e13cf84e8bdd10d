"""The command `intently-build distill`."""

import argparse

from intently_build.commands.parser import Commands
from intently_build.commands.run_options import add_run_options


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Asks a recipe's teachers, and trains its student on their answers; run again, it goes on where it stopped."
    parser = commands.add_parser("distill", help=about, description=about)
    add_run_options(parser, "the recipe, a YAML file with a section distill")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.running import distill

    distill(parsed.recipe, parsed.output, parsed.device, parsed.restart, Console())
