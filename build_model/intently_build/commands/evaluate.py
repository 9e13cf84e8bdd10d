"""The command `intently-build evaluate`."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError
from intently_build.evaluation.gate import ACCURACY_POINTS, MACRO_F1_POINTS, Gate

if TYPE_CHECKING:
    from intently_build.evaluation.answering import Answering
    from intently_build.evaluation.evaluate import Request


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Asks bundles about a whole split through the server, and says how well each does beside the others."
    parser = commands.add_parser(
        "evaluate",
        help=about,
        description=f"{about} Ends with 0, 1 if a bundle loses more against the reference than the gate allows, or 2.",
    )
    parser.add_argument("bundles", type=Path, nargs="+", metavar="bundle", help="folder of a bundle")
    _add_rows(parser)
    _add_server(parser)
    _add_comparison(parser)
    _add_results(parser)
    parser.set_defaults(command=_run)


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the rows (default: data.folder of the recipe in the manifest, relative to the folder that "
        "holds the bundle)",
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="recipe whose section data names the rows (default: the recipe in each bundle's manifest)",
    )
    parser.add_argument(
        "--split", choices=("test", "validation"), default="test", help="which rows (default: %(default)s)"
    )
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help='take these rows in place of a recipe\'s: JSON Lines with "text" and "intent", an intent of the bundle or '
        "out_of_scope",
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("server", "transformers"),
        default="server",
        help="what answers: the server, or transformers in float32 where there is no vLLM (default: %(default)s)",
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "bfloat16", "float32"),
        default="auto",
        help="what the server computes in; auto is what the weights are stored in (default: %(default)s)",
    )
    parser.add_argument(
        "--kv-cache-gib",
        type=float,
        default=1.0,
        metavar="GIB",
        help="memory of the server's KV cache in GiB (default: %(default)s)",
    )
    parser.add_argument(
        "--in-flight", type=int, default=32, metavar="N", help="calls under way at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long the server may take to start (default: %(default)s)",
    )


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", type=Path, metavar="BUNDLE", help="what the others are compared with (default: the first bundle)"
    )
    for name, what, points in (
        ("accuracy", "accuracy", ACCURACY_POINTS),
        ("macro-f1", "macro-F1", MACRO_F1_POINTS),
    ):
        parser.add_argument(
            f"--gate-{name}",
            type=float,
            metavar="POINTS",
            help=f"points of {what} that a bundle may lose against the reference; more ends with exit code 1 "
            f"(default: {points:g})",
        )
    parser.add_argument(
        "--in-scope-loss",
        type=float,
        action="append",
        metavar="PERCENT",
        help="in-scope loss at which to give the out-of-scope recall; may be given again (default: 1 and 5)",
    )
    parser.add_argument(
        "--costs",
        type=Path,
        metavar="FILE",
        help="cost of predicting a column where a row is right, out_of_scope included: a CSV matrix, or JSON "
        '{"default": cost, "costs": {right: {predicted: cost}}}; gives the mean cost of an utterance',
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="put each result into its bundle's manifest")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="keep each bundle's answers there (never an utterance); run again, the evaluation goes on with the next",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write a report there, and FILE.json beside it"
    )


def _run(parsed: argparse.Namespace) -> int:
    _check(parsed)
    from intently_build.evaluation.evaluate import evaluate
    from intently_build.evaluation.tables import print_comparison, print_evaluation, print_single
    from intently_build.wide_console import table_console

    console = table_console()
    results = evaluate(_request(parsed), _answering(parsed), console)
    gate = Gate(
        ACCURACY_POINTS if parsed.gate_accuracy is None else parsed.gate_accuracy,
        MACRO_F1_POINTS if parsed.gate_macro_f1 is None else parsed.gate_macro_f1,
    )
    failures = gate.failures(results)
    if results.reference is None:
        print_evaluation(results, console)
        print_single(results.bundles[0], console)
    else:
        print_comparison(results, console)
    if parsed.report is not None:
        from intently_build.evaluation.report.html_report import write_reports

        write_reports(parsed.report, results, gate, failures)
        console.print(f"report: {parsed.report}", highlight=False)
    for failure in failures:
        print(f"intently-build: {failure}", file=sys.stderr)  # noqa: T201  # the command line's own voice
    return 1 if failures else 0


def _request(parsed: argparse.Namespace) -> "Request":
    from intently_build.evaluation.dataset import Source
    from intently_build.evaluation.evaluate import Request

    return Request(
        bundles=tuple(parsed.bundles),
        reference=parsed.reference,
        source=Source(split=parsed.split, recipe=parsed.recipe, folder=parsed.data, rows=parsed.rows),
        in_flight=parsed.in_flight,
        losses=tuple(percent / 100 for percent in parsed.in_scope_loss or (1, 5)),
        costs=parsed.costs,
        output=parsed.output,
        write=parsed.write,
    )


def _answering(parsed: argparse.Namespace) -> "Answering":
    from functools import partial

    from intently_build.evaluation.answering import ServerAnswering, TransformersAnswering
    from intently_build.evaluation.server_process import ServerSettings, serve

    if parsed.engine == "transformers":
        return TransformersAnswering()
    settings = ServerSettings(parsed.dtype, parsed.kv_cache_gib, parsed.start_timeout)
    return ServerAnswering(partial(serve, settings=settings), parsed.dtype, parsed.in_flight)


def _check(parsed: argparse.Namespace) -> None:
    """Raises BuildError for options that make no sense, before anything is started."""
    if parsed.in_flight < 1:
        raise BuildError(f"--in-flight {parsed.in_flight}: must be at least 1")
    if parsed.rows is not None and (parsed.data is not None or parsed.recipe is not None):
        raise BuildError(f"--rows {parsed.rows}: has all that is asked; leave out --data and --recipe")
    for percent in parsed.in_scope_loss or ():
        if not 0 <= percent < 100:
            raise BuildError(f"--in-scope-loss {percent:g}: must be from 0 to less than 100 percent")
    alone = len({bundle.resolve() for bundle in (*parsed.bundles, parsed.reference or parsed.bundles[0])}) == 1
    gates = {"--gate-accuracy": parsed.gate_accuracy, "--gate-macro-f1": parsed.gate_macro_f1}
    for name, points in gates.items():
        if points is not None and alone:
            raise BuildError(f"{name}: there is nothing to compare one bundle with; give another, or --reference")
        if points is not None and not points >= 0:
            raise BuildError(f"{name} {points:g}: must be at least 0")
    if parsed.report is not None and parsed.report.suffix.lower() not in (".html", ".htm"):
        raise BuildError(f"--report {parsed.report}: must end in .html; the JSON is written beside it")
    if parsed.report is not None:
        _check_folder(parsed.report)


def _check_folder(report: Path) -> None:
    """Raises BuildError if the report could not be written there, before an hour of measuring rather than after it."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"--report {report}: cannot make its folder: {error.strerror}") from error
    if not os.access(report.parent, os.W_OK):
        raise BuildError(f"--report {report}: its folder may not be written to")
