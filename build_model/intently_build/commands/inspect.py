"""The command `intently-build inspect`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Prints what a bundle is and how well it does."
    parser = commands.add_parser("inspect", help=about, description=about)
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.bundle import read_manifest
    from intently_build.report import print_bundle

    print_bundle(read_manifest(parsed.bundle), Console())
