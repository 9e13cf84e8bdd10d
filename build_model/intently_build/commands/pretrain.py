"""The command `intently-build pretrain`."""

import argparse

from intently_build.commands.parser import Commands
from intently_build.commands.run_options import add_run_options


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Trains a base of one's own on the texts of a recipe; run again, it goes on where it stopped."
    parser = commands.add_parser("pretrain", help=about, description=about)
    add_run_options(parser, "the recipe, a YAML file with a section pretrain")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.pretraining.pretrain import pretrain

    pretrain(parsed.recipe, parsed.output, parsed.device, parsed.restart, Console())
