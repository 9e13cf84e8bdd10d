"""The command intently-release: arguments in, exit code out."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from intently_release.commands.arguments import parser
from intently_release.commands.byhand import by_hand
from intently_release.commands.compare import compare
from intently_release.commands.deploy import deploy
from intently_release.commands.desk import Desk
from intently_release.commands.fault import tell_of_fault
from intently_release.commands.history import history
from intently_release.commands.output import OutputProblem, close_output, open_output
from intently_release.commands.render import render_files
from intently_release.commands.status import status
from intently_release.commands.up import up
from intently_release.errors import ReleaseError

CANNOT = 2
FAULT = 70
INTERRUPTED = 130
UNREAD = 141

Command = Callable[[Desk, argparse.Namespace], Awaitable[int]]


def main() -> None:
    """Runs a command. Exit codes stand in --help."""
    open_output()
    code = run(sys.argv[1:])
    problem = close_output()
    sys.exit(code if problem is None or problem.is_unread else code or _unwritten(problem))


def run(arguments: list[str]) -> int:
    """Runs a command with these arguments and returns its exit code."""
    options = parser().parse_args(arguments)
    log: Path | None = None
    try:
        desk = Desk.of(options)
        log = desk.layout.log("intently-release")
        return asyncio.run(_run(_command(options.command), desk, options))
    except ReleaseError as error:
        sys.stderr.write(f"intently-release: {error}\n")
        return CANNOT
    except KeyboardInterrupt:
        hint = "; the same command again goes on from here" if options.command == "deploy" else ""
        sys.stderr.write(f"intently-release: interrupted{hint}\n")
        return INTERRUPTED
    except OutputProblem as problem:
        return UNREAD if problem.is_unread else _unwritten(problem)
    except Exception as error:  # Python's own code for it would say that a release was aborted
        tell_of_fault(error, log)
        return FAULT


def _unwritten(problem: OutputProblem) -> int:
    sys.stderr.write(f"intently-release: standard output cannot be written: {problem.strerror}\n")
    return CANNOT


def _command(name: str) -> Command:
    commands: dict[str, Command] = {
        "render": render_files,
        "up": up,
        "deploy": deploy,
        "status": status,
        "history": history,
        "compare": compare,
    }
    return commands.get(name, by_hand)


async def _run(command: Command, desk: Desk, options: argparse.Namespace) -> int:
    return await command(desk, options)


if __name__ == "__main__":
    main()
