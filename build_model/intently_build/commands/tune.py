"""The command `intently-build tune`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError

if TYPE_CHECKING:
    from intently_build.tuning.tune import Request


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Measures servers of a bundle on this machine, and writes the settings with the highest rate at a latency."
    parser = commands.add_parser(
        "tune",
        help=about,
        description=f"{about} intently-server --profile reads them. Run again, it goes on where it stopped. Ends with "
        "0, 1 if no settings keep the latency or the profile was not confirmed, or 2.",
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--slo", required=True, metavar="pN=TIME", help="the latency to be kept, such as p99=82ms")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the profile; what was measured is kept beside it (default: the bundle's name, .profile.yaml)",
    )
    parser.add_argument(
        "--budget",
        default="10m",
        metavar="TIME",
        help="how long the search may take; what is under way then is finished, and the profile confirmed "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--tokens", default="8-24", metavar="N|N-M", help="tokens of an utterance (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="a setting of engine or admission that all servers have and that is not searched, such as kv_cache_gib=8; "
        "may be given again",
    )
    _add_measuring(parser)
    parser.set_defaults(command=_run)


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate", type=float, metavar="R", help="where the search begins (default: near what a closed loop is answered)"
    )
    parser.add_argument(
        "--precision",
        type=float,
        default=0.05,
        metavar="P",
        help="share to which a rate is searched, and that another must gain (default: %(default)s)",
    )
    parser.add_argument(
        "--duration", default="3s", metavar="TIME", help="how long a rate is measured at least (default: %(default)s)"
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="of the load generator (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-limited",
        action="store_true",
        help="go on though the generator was the limit, as where it shares the processor with the engine",
    )
    parser.add_argument(
        "--server-command",
        metavar="COMMAND",
        help="starts a server, such as 'numactl -N 0 …' and its path (default: intently-server)",
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a server may take to start (default: %(default)s)",
    )


def _run(parsed: argparse.Namespace) -> int:
    from intently_build.tuning.tables import print_tuning
    from intently_build.tuning.tune import tune
    from intently_build.wide_console import table_console

    console = table_console()
    tuning = tune(_request(parsed), console)
    print_tuning(tuning, console)
    return 0 if tuning.profile and tuning.profile.confirmed else 1


def _request(parsed: argparse.Namespace) -> "Request":
    import shlex

    from intently_build.bundles.manifest import read_manifest
    from intently_build.evaluation.server_process import server_program
    from intently_build.tuning.given import given_settings
    from intently_build.tuning.target import parse_seconds, parse_slo
    from intently_build.tuning.tune import Request, check_room

    slo, given = parse_slo(parsed.slo), given_settings(parsed.set or ())
    if not 0 < parsed.precision < 1:
        raise BuildError(f"--precision {parsed.precision:g}: must be a share above 0 and below 1")
    if parsed.rate is not None and not 0 < parsed.rate < float("inf"):
        raise BuildError(f"--rate {parsed.rate:g}: must be a number above 0")
    if parsed.processes < 1:
        raise BuildError(f"--processes {parsed.processes}: must be at least 1")
    tokens = _span(parsed.tokens)
    check_room(parsed.bundle, tokens)
    return Request(
        bundle=parsed.bundle,
        slo=slo,
        output=parsed.output or Path(f"{read_manifest(parsed.bundle).name}.profile.yaml"),
        budget_s=parse_seconds("budget", parsed.budget),
        tokens=tokens,
        given=given,
        first_rate=parsed.rate,
        server_command=shlex.split(parsed.server_command) if parsed.server_command else (server_program(),),
        start_s=parsed.start_timeout,
        precision=parsed.precision,
        seconds=parse_seconds("duration", parsed.duration),
        processes=parsed.processes,
        allow_limited=parsed.allow_limited,
    )


def _span(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    try:
        least, most = int(low), int(high or low)
    except ValueError:
        least = most = 0
    if not 0 < least <= most:
        raise BuildError(f"--tokens {text}: must be a number above 0, or two such as 8-24")
    return least, most
