"""The command intently-release: arguments in, exit code out."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from intently_release.commands.arguments import parser
from intently_release.commands.byhand import by_hand
from intently_release.commands.compare import compare
from intently_release.commands.deploy import deploy
from intently_release.commands.desk import Desk
from intently_release.commands.history import history
from intently_release.commands.render import render_files
from intently_release.commands.status import status
from intently_release.commands.up import up
from intently_release.errors import ReleaseError

CANNOT = 2
INTERRUPTED = 130

Command = Callable[[Desk, argparse.Namespace], Awaitable[int]]


def main() -> None:
    """Runs a command. Exit codes stand in --help."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs a command with these arguments and returns its exit code."""
    options = parser().parse_args(arguments)
    commands: dict[str, Command] = {
        "render": render_files,
        "up": up,
        "deploy": deploy,
        "status": status,
        "history": history,
        "compare": compare,
    }
    command = commands.get(options.command, by_hand)
    try:
        return asyncio.run(_run(command, options))
    except ReleaseError as error:
        sys.stderr.write(f"intently-release: {error}\n")
        return CANNOT
    except KeyboardInterrupt:
        hint = "; the same command again goes on from here" if options.command == "deploy" else ""
        sys.stderr.write(f"intently-release: interrupted{hint}\n")
        return INTERRUPTED


async def _run(command: Command, options: argparse.Namespace) -> int:
    return await command(Desk.of(options), options)


if __name__ == "__main__":
    main()
