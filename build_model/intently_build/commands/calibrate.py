"""The command `intently-build calibrate`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Fits temperature and thresholds of a finished bundle on other rows, and writes the new revision."
    parser = commands.add_parser(
        "calibrate",
        help=about,
        description=f"{about} The weights stay as they are; the bundle that is given is not changed.",
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help='the rows: JSON Lines with "text" and "intent", an intent of the bundle or out_of_scope; operating points '
        "and margin stay the bundle's",
    )
    rows.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="take the validation rows of this recipe, and what its section calibration says",
    )
    parser.add_argument("--data", type=Path, help="folder of the recipe's rows (default: where the recipe says)")
    parser.add_argument(
        "--test",
        type=Path,
        action="append",
        metavar="FILE",
        help="JSON Lines whose rows must not be among these; may be given again (the recipe's test rows always are, "
        "and with --rows those of the bundle's own recipe where they can be found)",
    )
    parser.add_argument("--leave-out-test", action="store_true", help="go on without the rows that are test rows too")
    parser.add_argument(
        "--train",
        type=Path,
        action="append",
        metavar="FILE",
        help="JSON Lines whose rows the model was trained on, and which must not be among these; may be given again "
        "(those of the recipe, or of the bundle's own where they can be found, always are)",
    )
    parser.add_argument(
        "--leave-out-training",
        action="store_true",
        help="go on without the rows that are training rows too (with --recipe they else stay, and are told)",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the new revision")
    parser.add_argument("--replace", action="store_true", help="write over a folder that is there")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    if parsed.output.resolve() == parsed.bundle.resolve():
        raise BuildError(f"{parsed.output}: is the bundle itself; a new revision needs another folder")
    from rich.console import Console

    from intently_build.calibrate import Request, calibrate
    from intently_build.calibration_set import Wanted

    wanted = Wanted(
        parsed.rows,
        parsed.recipe,
        parsed.data,
        tuple(parsed.test or ()),
        parsed.leave_out_test,
        tuple(parsed.train or ()),
        parsed.leave_out_training,
    )
    calibrate(Request(parsed.bundle, wanted, parsed.output, parsed.replace), Console())
