"""The command `intently-build train`."""

import argparse

from intently_build.commands.parser import Commands
from intently_build.commands.run_options import add_run_options


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Trains a recipe's model from scratch; run again, it goes on where it stopped."
    parser = commands.add_parser("train", help=about, description=about)
    add_run_options(parser, "the recipe, a YAML file")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.train import train

    train(parsed.recipe, parsed.output, parsed.device, parsed.restart, Console())
