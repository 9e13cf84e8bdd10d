"""The options of `intently bench`, and what its help says."""

import argparse
from pathlib import Path

from intently.answers import Priority
from intently.bench.arguments import counts, metadatum, positive, positive_seconds, ramp, rate, seconds, span
from intently.bench.plan import Arrivals, Shape
from intently.bench.study_options import add_outcome, add_search
from intently.cli.connection import DEFAULT_ADDRESS, TOKEN_FILE_VARIABLE
from intently.client import PRIORITY_METADATA

DESCRIPTION = """\
Sends load and measures how long answers take.

With --rate the loop is open: sends follow a schedule that no answer shifts, and a latency begins when the send was due
(no coordinated omission). Without, it is closed: --concurrency calls are under way at any time, each followed by the
next. Latencies are those of answers; how long failures took is given apart. Rates are over the time from the end of the
warm-up until sending ended.

A TARGET is HOST:PORT or unix:PATH of an Intently server, or of Envoy; http://HOST:PORT of `vllm serve`, whose /classify
gets the token ids of --utterances, or else the text in the prompt of --bundle; or python:MODULE:NAME?KEY=VALUE, which
makes a target in the generator's own process.

--ramp measures one load after the other. --slo searches the highest rate at which a latency is met. --against measures
two targets in turn, and gives the ratio of their figures."""
EPILOG = """\
The generator was the bottleneck if a process used more than 90 % of a core; if the 99th percentile of the scheduling
lag, or of the event loop's, is over 1 ms and over 10 % of the median latency; or if sends waited for
--max-outstanding. Then figures are withheld, unless --allow-limited. Where a server answers less than 95 % of a ramp's
step or of a probe, only processor and event loop count.

Exit codes: 0 done; 1 a threshold failed, no rate was found, nothing was answered, items of streams were lost, or a
process died; 2 wrong usage; 3 the generator was the bottleneck (unless --allow-limited)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `intently bench` to a parser."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--address",
        "--target",
        default=DEFAULT_ADDRESS,
        metavar="TARGET",
        help="what is measured (default: %(default)s)",
    )
    parser.add_argument("--against", metavar="TARGET", help="measured in turn with it, for the ratio of the two")
    _add_security(parser.add_argument_group("security"))
    _add_load(parser.add_argument_group("load"))
    add_search(parser.add_argument_group("search and comparison"))
    _add_work(parser.add_argument_group("what is sent"))
    add_outcome(parser.add_argument_group("what comes of it"))


def _add_security(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--tls", action="store_true", help="encrypt; any of the following but the token does so too")
    group.add_argument("--ca", metavar="FILE", help="authorities that may vouch for the server, PEM")
    group.add_argument("--certificate", "--cert", metavar="FILE", help="the caller's certificate chain, PEM")
    group.add_argument("--key", metavar="FILE", help="its private key, PEM")
    group.add_argument("--server-name", metavar="NAME", help="the name in the server's certificate")
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help=f"a bearer token; over TLS, or to this machine (environment: {TOKEN_FILE_VARIABLE})",
    )


def _add_load(group: "argparse._ArgumentGroup") -> None:
    loop = group.add_mutually_exclusive_group()
    loop.add_argument("--rate", type=rate, metavar="R", help="open loop: sends a second, over all processes")
    loop.add_argument(
        "--concurrency",
        type=positive,
        default=8,
        metavar="C",
        help="closed loop: calls under way, over all processes; with --shape stream, items in flight on each stream "
        "(default: %(default)s)",
    )
    loop.add_argument(
        "--ramp", type=ramp, metavar="FROM:TO:STEPS", help="open loop: rates one after the other; or R,R,…"
    )
    loop.add_argument(
        "--ramp-concurrency", type=counts, metavar="C,C,…", help="closed loop: concurrencies one after the other"
    )
    group.add_argument(
        "--arrivals",
        choices=[each.value for each in Arrivals],
        default=Arrivals.POISSON.value,
        help="open loop: how sends are spread (default: %(default)s)",
    )
    group.add_argument(
        "--max-outstanding",
        type=positive,
        default=4096,
        metavar="N",
        help="open loop: sends of a process unanswered at once; more wait, which is told (default: %(default)s)",
    )
    group.add_argument(
        "--duration",
        type=positive_seconds,
        metavar="S",
        help="how long to measure: each step, each round; each probe at least (default: 10s)",
    )
    group.add_argument("--requests", type=positive, metavar="N", help="how many sends to measure; or the duration")
    group.add_argument("--warm-up", type=seconds, default=0.0, metavar="S", help="before each, without measuring")
    group.add_argument("--processes", type=positive, default=1, metavar="N", help="(default: %(default)s)")
    group.add_argument(
        "--connections", type=positive, default=1, metavar="N", help="of each process (default: %(default)s)"
    )
    group.add_argument(
        "--wait",
        type=positive_seconds,
        default=5.0,
        metavar="S",
        help="how long to wait for the server to be there (default: %(default)s)",
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of arrivals and utterances")


def _add_work(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--shape",
        choices=[each.value for each in Shape],
        default=Shape.UNARY.value,
        help="single calls, batches, or items on long-lived streams (default: %(default)s)",
    )
    group.add_argument(
        "--batch-size", type=positive, default=16, metavar="N", help="utterances of a batch (default: %(default)s)"
    )
    group.add_argument(
        "--streams", type=positive, default=1, metavar="K", help="over all processes (default: %(default)s)"
    )
    group.add_argument(
        "--raw-streams",
        action="store_true",
        help="streams without the client library, which reopens them: one that ends stays ended",
    )
    group.add_argument("--ordered", action="store_true", help="streams answer in order")
    said = group.add_mutually_exclusive_group()
    said.add_argument(
        "--utterances",
        type=Path,
        metavar="FILE",
        help='lines of text, or of JSON with a "text", and the "token_ids" of its whole prompt for targets that take '
        "them (default: made from the seed)",
    )
    said.add_argument(
        "--words", type=span, metavar="N|N-M", help="make them of so many common words, each a token to most tokenizers"
    )
    group.add_argument("--bundle", type=Path, metavar="FOLDER", help="HTTP: send text in the prompt of this bundle")
    group.add_argument("--model", metavar="NAME", help="HTTP: of the model")
    group.add_argument(
        "--timeout",
        type=positive_seconds,
        default=10.0,
        metavar="S",
        help="deadline of each call; for streams, how long the last answers are waited for (default: %(default)s)",
    )
    group.add_argument(
        "--priority", choices=[each.value for each in Priority], help=f"sent as metadata {PRIORITY_METADATA}"
    )
    group.add_argument(
        "--metadata",
        type=metadatum,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="sent with each call; may be repeated",
    )
    group.add_argument(
        "--retry",
        action="store_true",
        help="single calls and batches that find nobody are tried again, unseen, as the client library does",
    )
