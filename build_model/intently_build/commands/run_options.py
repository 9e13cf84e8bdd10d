"""The arguments of every command that works in the folder of a run."""

import argparse
from pathlib import Path


def add_run_options(parser: argparse.ArgumentParser, recipe: str, device: str = "where to compute") -> None:
    """Adds the recipe and the options on folder, device and beginning anew; `recipe` and `device` explain theirs."""
    parser.add_argument("recipe", type=Path, help=recipe)
    parser.add_argument("--output", type=Path, help="folder of the run (default: runs/ and the recipe's name)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help=f"{device} (default: %(default)s)"
    )
    parser.add_argument("--restart", action="store_true", help="throw away an earlier run in that folder")
