"""The command line `intently-build`."""

import argparse
import sys
from collections.abc import Callable, Sequence

from intently_build.commands import (
    adapt,
    calibrate,
    choose,
    compare,
    diff,
    distill,
    evaluate,
    inspect,
    merge,
    package,
    plan,
    pretrain,
    quantize,
    run,
    synth,
    train,
    tune,
    verify,
)
from intently_build.errors import BuildError
from intently_build.interrupts import terminated_as_interrupted

_COMMANDS = (
    run,
    pretrain,
    train,
    adapt,
    distill,
    merge,
    quantize,
    package,
    calibrate,
    evaluate,
    compare,
    choose,
    inspect,
    verify,
    diff,
    plan,
    synth,
    tune,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns its exit code, or 2 after one line on stderr for what the user can mend."""
    parsed = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int | None] = parsed.command  # None is success
    try:
        with terminated_as_interrupted():
            return command(parsed) or 0
    except BuildError as error:
        print(f"intently-build: {error}", file=sys.stderr)  # noqa: T201  # the command line's own voice
        return 2
    except KeyboardInterrupt:
        print("intently-build: stopped; run it again to go on", file=sys.stderr)  # noqa: T201
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; each leaves what runs it in `command`."""
    parser = argparse.ArgumentParser(
        prog="intently-build",
        description="Makes bundles: trains, distils, quantizes, packages and measures models that tell intents.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
