"""The command `intently-build package`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Cuts the head out of a trained model, calibrates it on the validation rows, and writes the bundle."
    parser = commands.add_parser("package", help=about, description=about)
    parser.add_argument("recipe", type=Path, help="the recipe that the run was trained by")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="folder of a classifier made from the run's, such as a quantized one (default: the run's own)",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--replace", action="store_true", help="write over a bundle that is there")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.running import package

    package(parsed.recipe, parsed.run, parsed.output, parsed.replace, parsed.checkpoint, Console())
