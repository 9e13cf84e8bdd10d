"""The options of `intently bench` for searches and comparisons, and for what comes of a run."""

import argparse
from pathlib import Path

from intently.bench.arguments import natural, positive, positive_seconds, share
from intently.bench.studies.slo import Slo
from intently.bench.thresholds import Threshold


def add_search(group: "argparse._ArgumentGroup") -> None:
    """Adds the options of searches and comparisons."""
    group.add_argument(
        "--slo",
        type=Slo.parse,
        metavar="pN=TIME",
        help="search the highest rate at which it is met, such as p99=82ms: a send that fails took longer. --rate says "
        "where to begin (default: by a closed loop)",
    )
    group.add_argument(
        "--precision",
        type=share,
        default=0.02,
        metavar="P",
        help="how near the rate that failed must be to the one found, such as 2%% (default: 2%%)",
    )
    group.add_argument(
        "--confirmations",
        type=natural,
        default=2,
        metavar="N",
        help="how often the rate found is measured again; it must pass each time (default: %(default)s)",
    )
    group.add_argument(
        "--rounds", type=positive, default=5, metavar="N", help="of --against without --slo (default: %(default)s)"
    )


def add_outcome(group: "argparse._ArgumentGroup") -> None:
    """Adds the options of reports and thresholds."""
    group.add_argument("--json", metavar="FILE", help="write everything that was measured there; - is stdout")
    group.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page with plots there, and the JSON beside it, if not elsewhere",
    )
    group.add_argument(
        "--progress",
        choices=["auto", "table", "lines", "off"],
        default="auto",
        help="a table or lines on stderr, by seconds and legs; auto is a table on a terminal, else off "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--max-p99",
        type=positive_seconds,
        metavar="S",
        help="exit with 1 if the p99 of the answers is over it; failures count by --max-errors",
    )
    group.add_argument("--max-errors", type=natural, metavar="N", help="exit with 1 if more utterances failed")
    group.add_argument(
        "--fail-if",
        type=Threshold.parse,
        action="append",
        default=[],
        metavar="FIGURE>BOUND",
        help="exit with 1: pN, mean or max>TIME (a ramp's in any step), errors>N, error-rate>P%%, goodput<R, found<R, "
        "ratio<X, pN-ratio>X, or ratio.low<X, the lower end of its interval; may be repeated",
    )
    group.add_argument("--allow-limited", action="store_true", help="report though the generator was the limit")
