"""Runs the command: arguments in, exit code out."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

from intently.cli.connection import UsageProblem, client_of
from intently.cli.parser import parser
from intently.errors import (
    DeadlineExceededError,
    IntentlyError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)

FAILED, USAGE = 1, 2
_INTERRUPTED = 130
_WAIT_STEP_S = 0.5


def main() -> None:
    """Runs the command. Exit codes: 0 answered, 1 the call or an item failed, 2 wrong usage, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs the command with these arguments and returns its exit code."""
    options = parser(arguments).parse_args(arguments)
    if options.command is None:  # it does everything itself
        code: int = options.run(options)
        return code
    try:
        return asyncio.run(_run(options))
    except UsageProblem as problem:
        sys.stderr.write(f"intently: {problem}\n")
        return USAGE
    except IntentlyError as error:
        sys.stderr.write(f"intently: {_explain(error, options.address)}\n")
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more: say no more
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


async def _run(options: argparse.Namespace) -> int:
    give_up = time.monotonic() + options.wait
    async with client_of(options) as client:
        while True:
            try:
                code: int = await options.command(client, options)
            except UnavailableError:
                if not options.repeatable or time.monotonic() + _WAIT_STEP_S > give_up:
                    raise
                await asyncio.sleep(_WAIT_STEP_S)
            else:
                return code


def _explain(error: IntentlyError, address: str) -> str:
    """What went wrong and what would help, in a line."""
    if isinstance(error, UnavailableError) and not error.reason:
        return f"no server answers at {address}: start one (make run), or name another with --address"
    if isinstance(error, UnavailableError):
        return f"the server at {address} is not ready: {error}; --wait 120 waits for it"
    if isinstance(error, DeadlineExceededError):
        return f"no answer from {address} in time: {error}; --timeout gives it longer"
    if isinstance(error, UnauthenticatedError):
        return f"the server at {address} does not know the caller: {error}; see --token-file and --certificate"
    if isinstance(error, PermissionDeniedError):
        return f"the server at {address} refuses the caller: {error}"
    return str(error)
