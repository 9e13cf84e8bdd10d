"""The arguments of intently-release."""

import argparse
from pathlib import Path

EPILOG = """exit codes:
  0  done
  1  the release was aborted; the stable color has all traffic
  2  it cannot be done, or the configuration cannot be used; standard error says why
  3  nobody can say whether the canary is good; it gets no traffic, and is kept
"""


def parser() -> argparse.ArgumentParser:
    """What there is to say."""
    top = argparse.ArgumentParser(
        prog="intently-release",
        description="Releases on Envoy: two colors, traffic that moves by measurement, nothing lost on the way.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="release.yaml (default: all defaults)")
    common.add_argument("--run-dir", type=Path, metavar="DIR", help="in place of the configuration's run_dir")
    common.add_argument("--json", action="store_true", help="JSON on standard output")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    add("render", "Write Envoy's files, checked by Envoy, without starting anything.")
    _up(add("up", "Start Envoy and the color that is stable, and keep them running until SIGTERM or Ctrl-C."))
    _deploy(add("deploy", "Take a bundle live: start the idle color, check it, move the traffic step by step."))
    add("status", "Weights as wanted and as applied, health, revisions, retries, open streams.")
    shift = add("shift", "Give the color that is not stable a share of new calls, without judging it.")
    shift.add_argument("percent", type=_percent, metavar="PERCENT")
    add("promote", "Give all new calls to the color that is not stable, without judging it.")
    add("abort", "Give all new calls to the stable color, and end the release that is under way.")
    add("rollback", "Give all new calls back to the color that was stable before.")
    history = add("history", "What was done, the latest last.")
    history.add_argument("-n", type=int, default=20, metavar="N", help="entries (default: %(default)s)")
    return top


def _up(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        "--bundle", type=Path, metavar="DIR", help="to start with; needed the first time, when nothing ran here yet"
    )


def _deploy(deploy: argparse.ArgumentParser) -> None:
    deploy.add_argument("bundle", type=Path, metavar="BUNDLE")
    deploy.add_argument(
        "--fast", action="store_true", help="one judged step at 50 %% of a second and a half, then all; no baking"
    )
    deploy.add_argument(
        "--no-traffic",
        choices=("inconclusive", "promote"),
        help="for a canary that no call reached; promote lets the golden requests decide",
    )


def _percent(text: str) -> int:
    try:
        percent = int(text.removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage: 0 to 100")
    return percent
