"""The arguments of intently-release."""

import argparse
import math
from pathlib import Path

from intently_release.colors import Color

EPILOG = """exit codes:
  0  done
  1  the release was aborted; the stable color has all traffic
  2  it cannot be done, or the configuration cannot be used; standard error says why
  3  nobody can say whether the canary is good (it gets no traffic, and is kept), or nothing could be compared
  70, 130, 141  a fault of intently-release itself; interrupted; nobody reads what it says any more
"""

_STREAMS = (
    "Once it is done, it may wait for releasing.stream_patience (30 s unless configured) until open streams have left "
    "the color that is kept; Ctrl-C ends that, and changes nothing."
)


def parser() -> argparse.ArgumentParser:
    """What there is to say."""
    top = argparse.ArgumentParser(
        prog="intently-release",
        description="Releases on Envoy: two colors, traffic that moves by measurement, nothing lost on the way.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="release.yaml (default: what `up` runs by, or all defaults where it does not run)",
    )
    common.add_argument("--run-dir", type=Path, metavar="DIR", help="in place of the configuration's run_dir")
    told = argparse.ArgumentParser(add_help=False)
    told.add_argument("--json", action="store_true", help="JSON on standard output")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common, *(parents or (told,))])

    _render(add("render", "Write Envoy's files, checked by Envoy, where no `up` runs, or elsewhere (--out)."))
    _up(add("up", "Start Envoy and the color that is stable, and keep them running until SIGTERM or Ctrl-C."))
    _deploy(add("deploy", "Take a bundle live: start the idle color, check it, move the traffic step by step."))
    add("status", "Weights as wanted and as applied, health, revisions, retries, open streams.")
    shift = add("shift", "Give the color that is not stable a share of new calls, without judging it.")
    shift.add_argument("percent", type=_percent, metavar="PERCENT")
    add("promote", "Give all new calls to the color that is not stable, without judging it.")
    add("abort", "Give all new calls to the stable color, and end the release that is under way.")
    add("rollback", "Give all new calls back to the color that was stable before.")
    add("drain", "Stop the color that is not stable: it finishes what it has, and tells streams to move on.")
    reported = argparse.ArgumentParser(add_help=False)
    reported.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="the whole report as JSON, to FILE or standard output"
    )
    _compare(add("compare", "Tell how often both colors answer the same utterance differently.", reported))
    history = add("history", "What was done, the latest last.")
    history.add_argument("-n", type=int, default=20, metavar="N", help="entries (default: %(default)s)")
    return top


def _render(render: argparse.ArgumentParser) -> None:
    render.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write them all there instead, for an Envoy elsewhere: the paths in them are below run_dir on its host, "
        "whose certificates are not looked at, nor is any state of this one",
    )
    render.add_argument(
        "--green", type=_percent, metavar="PERCENT", help="with --out: green's share of new calls (default: 0)"
    )
    render.add_argument(
        "--revision",
        type=_revision,
        action="append",
        default=[],
        metavar="COLOR=REVISION",
        help="with --out: what a color serves, for callers that ask for a revision; may be repeated",
    )


def _up(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        "--bundle",
        type=Path,
        metavar="DIR",
        help="to start with; needed the first time, when nothing served here yet; later, what was live starts again",
    )


def _deploy(deploy: argparse.ArgumentParser) -> None:
    deploy.description = f"{deploy.description} {_STREAMS}"
    deploy.add_argument("bundle", type=Path, metavar="BUNDLE")
    deploy.add_argument(
        "--fast",
        action="store_true",
        help="one judged step at 50 %% of a second and a half, then all; no baking; for streams it waits all the same",
    )
    deploy.add_argument(
        "--no-traffic",
        choices=("inconclusive", "promote"),
        help="for a canary that no call reached; promote lets the golden requests decide",
    )


def _compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument(
        "utterances",
        nargs="?",
        metavar="UTTERANCES",
        help="a file to replay, or - for standard input: plain lines, or objects of JSON Lines with text and, if need "
        "be, context and language_code; labels are not needed",
    )
    compare.add_argument(
        "--mirrored",
        nargs="?",
        type=_seconds,
        const=10.0,
        metavar="SECONDS",
        help="in place of a replay, watch for so long (%(const)g) what is mirrored: tells a lower bound",
    )
    compare.add_argument(
        "--concurrency", type=_at_least_one, default=16, metavar="N", help="utterances under way (default: %(default)s)"
    )
    compare.add_argument(
        "--deadline", type=_seconds, default=10.0, metavar="SECONDS", help="of each call (default: %(default)g)"
    )
    compare.add_argument(
        "--confident",
        type=_share,
        default=0.8,
        metavar="CONFIDENCE",
        help="differences where both confidences reach it are counted apart (default: %(default)g)",
    )
    compare.add_argument(
        "--show-utterances",
        type=_at_least_one,
        default=0,
        metavar="N",
        help="tell the utterances of the N strongest differences too; without it none is told anywhere",
    )


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return number


def _seconds(text: str) -> float:
    if not 0 < (seconds := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds over 0")
    return seconds


def _share(text: str) -> float:
    if not 0 <= (share := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no confidence: 0 to 1")
    return share


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _revision(text: str) -> tuple[Color, str]:
    color, _, revision = text.partition("=")
    if color not in set(Color) or not revision:
        raise argparse.ArgumentTypeError(f"{text!r} is no COLOR=REVISION, such as blue=032b0952a428")
    return Color(color), revision


def _percent(text: str) -> int:
    try:
        percent = int(text.removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage: 0 to 100")
    return percent
