"""The command `intently-build choose`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError
from intently_build.evaluation.gate import ACCURACY_POINTS, MACRO_F1_POINTS

if TYPE_CHECKING:
    from intently_build.comparing.choosing import Limits


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Names the bundle of a comparison that keeps all limits; every figure is one that was measured."
    parser = commands.add_parser(
        "choose",
        help=about,
        description=f"{about} Ends with 0, 1 if none keeps them, saying which comes nearest, or 2.",
    )
    parser.add_argument("results", type=Path, help="results.json of `compare`, or the folder that it is in")
    parser.add_argument("--p99-ms", type=float, metavar="MS", help="milliseconds within which 99 of 100 calls end")
    parser.add_argument(
        "--rate", type=float, metavar="R", help="calls answered in a second, at a load that keeps --p99-ms too"
    )
    parser.add_argument(
        "--memory", type=float, metavar="GIB", help="memory that the server may hold: the GPU's, or on a CPU the host's"
    )
    parser.add_argument(
        "--max-loss",
        type=float,
        default=ACCURACY_POINTS,
        metavar="POINTS",
        help="points of accuracy that may be lost against bf16 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-macro-f1-loss",
        type=float,
        default=MACRO_F1_POINTS,
        metavar="POINTS",
        help="the same of macro-F1 (default: %(default)s)",
    )
    parser.add_argument(
        "--prefer",
        choices=("speed", "accuracy", "memory"),
        default="speed",
        help="what decides between those that keep all limits (default: %(default)s)",
    )
    parser.add_argument("--gpu", metavar="NAME", help="the GPU to choose for (default: what they were compared for)")
    parser.add_argument("--anyway", action="store_true", help="choose though they were measured on another GPU")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    limits = _limits(parsed)
    import json

    from intently_build.comparing.choosing import check_machine, choose
    from intently_build.comparing.compared import read_compared
    from intently_build.comparing.tables import chosen_json, print_chosen
    from intently_build.wide_console import table_console

    compared = read_compared(parsed.results)
    if not parsed.anyway:
        check_machine(compared, parsed.gpu)
    chosen = choose(compared, limits, parsed.prefer)
    if parsed.json:
        print(json.dumps(chosen_json(compared, chosen, limits), indent=2))  # noqa: T201  # to be piped
    else:
        print_chosen(compared, chosen, table_console())
    return 0 if chosen.named else 1


def _limits(parsed: argparse.Namespace) -> "Limits":
    for name in ("p99_ms", "rate", "memory"):
        value = getattr(parsed, name)
        if value is not None and not 0 < value < float("inf"):
            raise BuildError(f"--{name.replace('_', '-')} {value:g}: must be a number over 0")
    for name in ("max_loss", "max_macro_f1_loss"):
        if not getattr(parsed, name) >= 0:
            raise BuildError(f"--{name.replace('_', '-')} {getattr(parsed, name):g}: must be at least 0")
    from intently_build.comparing.choosing import Limits

    return Limits(parsed.p99_ms, parsed.rate, parsed.memory, parsed.max_loss, parsed.max_macro_f1_loss)
