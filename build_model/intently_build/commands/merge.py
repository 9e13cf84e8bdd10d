"""The command `intently-build merge`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Merges a LoRA adapter in peft's format into its base, and shows that the two answer alike."
    parser = commands.add_parser("merge", help=about, description=about)
    parser.add_argument("--base", type=Path, required=True, help="folder of the causal checkpoint")
    parser.add_argument("--adapter", type=Path, required=True, help="folder of the adapter, whoever trained it")
    parser.add_argument("--output", type=Path, required=True, help="folder of the merged checkpoint")
    parser.add_argument("--replace", action="store_true", help="write over a folder that something else lies in")
    parser.add_argument(
        "--other-name",
        action="store_true",
        help="go on where the adapter names its base otherwise than the folder is called: the last parts of both names "
        "count, Qwen2.5-7B-Instruct of Qwen/Qwen2.5-7B-Instruct, and commits where both are known",
    )
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.running import merge

    merge(parsed.base, parsed.adapter, parsed.output, parsed.replace, Console(), parsed.other_name)
