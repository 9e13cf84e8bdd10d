"""The command line `intently-build`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from intently_build.errors import BuildError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns 0, or 2 after one line on stderr for what the user can mend."""
    parsed = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = parsed.command
    try:
        command(parsed)
    except BuildError as error:
        print(f"intently-build: {error}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return 2
    except KeyboardInterrupt:
        print("intently-build: stopped; run it again to go on", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; each leaves what runs it in `command`."""
    parser = argparse.ArgumentParser(
        prog="intently-build",
        description="Makes bundles: trains a small model, packages it, and measures it through the server.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_package(commands)
    _add_evaluate(commands)
    _add_inspect(commands)
    return parser


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Trains a recipe's model from scratch; run again, it goes on where it stopped."
    parser = commands.add_parser("train", help=about, description=about)
    parser.add_argument("recipe", type=Path, help="the recipe, a YAML file")
    parser.add_argument("--output", type=Path, help="folder of the run (default: runs/ and the recipe's name)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: %(default)s)"
    )
    parser.add_argument("--restart", action="store_true", help="throw away an earlier run in that folder")
    parser.set_defaults(command=_train)


def _train(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.train import train

    train(parsed.recipe, parsed.output, parsed.device, parsed.restart, Console())


def _add_package(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Cuts the head out of a trained model, calibrates it on the validation rows, and writes the bundle."
    parser = commands.add_parser("package", help=about, description=about)
    parser.add_argument("recipe", type=Path, help="the recipe that the run was trained by")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--replace", action="store_true", help="write over a bundle that is there")
    parser.set_defaults(command=_package)


def _package(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.package import package

    package(parsed.recipe, parsed.run, parsed.output, parsed.replace, Console())


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    parser.set_defaults(command=_evaluate)


def _evaluate(parsed: argparse.Namespace) -> None:
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


def _add_inspect(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Prints what a bundle is and how well it does."
    parser = commands.add_parser("inspect", help=about, description=about)
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.set_defaults(command=_inspect)


def _inspect(parsed: argparse.Namespace) -> None:
    from rich.console import Console

    from intently_build.bundle import read_manifest
    from intently_build.report import print_bundle

    print_bundle(read_manifest(parsed.bundle), Console())


if __name__ == "__main__":
    sys.exit(main())
