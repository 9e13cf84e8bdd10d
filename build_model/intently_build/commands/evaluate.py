"""The command `intently-build evaluate`."""

import argparse
from pathlib import Path

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Starts intently-server on a bundle, asks it about a whole split, and says how well it does."
    parser = commands.add_parser("evaluate", help=about, description=about)
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the rows (default: data.folder of the recipe in the manifest, relative to the folder that "
        "holds the bundle)",
    )
    parser.add_argument(
        "--split", choices=("test", "validation"), default="test", help="which rows (default: %(default)s)"
    )
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
    parser.add_argument("--write", action="store_true", help="put the result into the bundle's manifest")
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.evaluate import Request, evaluate
    from intently_build.server_process import ServerSettings

    if parsed.in_flight < 1:
        raise BuildError(f"--in-flight {parsed.in_flight}: must be at least 1")
    request = Request(
        bundle=parsed.bundle,
        data=parsed.data,
        split=parsed.split,
        engine=parsed.engine,
        server=ServerSettings(parsed.dtype, parsed.kv_cache_gib, parsed.start_timeout),
        in_flight=parsed.in_flight,
        write=parsed.write,
    )
    evaluate(request, Console())
