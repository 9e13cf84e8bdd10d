"""The options that say which server, and over what; and the client that they make."""

import argparse
import os
from pathlib import Path

from intently.answers import Priority
from intently.channel import Security
from intently.client import DEFAULT_TIMEOUT_S, IntentClient

DEFAULT_ADDRESS = "127.0.0.1:50051"
TOKEN_FILE_VARIABLE = "INTENTLY_TOKEN_FILE"  # noqa: S105  # the name of a variable


def connection_options() -> argparse.ArgumentParser:
    """A parent of the commands' parsers."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--address", default=DEFAULT_ADDRESS, help="HOST:PORT of the server, or unix:PATH (default: %(default)s)"
    )
    common.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="deadline in seconds (default: %(default)s)",
    )
    common.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="wait up to S seconds for a server that is not ready"
    )
    common.add_argument("--json", action="store_true", help="print the whole response as JSON")
    common.add_argument("--priority", choices=[each.value for each in Priority], help="who goes first at a full server")
    security = common.add_argument_group("security")
    security.add_argument("--tls", action="store_true", help="encrypt; any of the following but the token does so too")
    security.add_argument("--ca", type=Path, metavar="FILE", help="authorities that may vouch for the server, PEM")
    security.add_argument(
        "--certificate", "--cert", type=Path, metavar="FILE", help="the caller's certificate chain, PEM"
    )
    security.add_argument("--key", type=Path, metavar="FILE", help="its private key, PEM")
    security.add_argument("--server-name", metavar="NAME", help="the name in the server's certificate")
    security.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"a bearer token; over TLS, or to this machine (environment: {TOKEN_FILE_VARIABLE})",
    )
    return common


class UsageProblem(Exception):
    """The options cannot be used as they are."""


def client_of(options: argparse.Namespace) -> IntentClient:
    """The client that the options ask for, for the running event loop.

    Raises:
        UsageProblem: if they do not fit together, or a file cannot be read.
    """
    try:
        return _client_of(options)
    except (OSError, ValueError) as problem:
        raise UsageProblem(str(problem)) from problem


def _client_of(options: argparse.Namespace) -> IntentClient:
    token_file = options.token_file or os.environ.get(TOKEN_FILE_VARIABLE)
    security = Security.from_files(
        tls=options.tls or any((options.ca, options.certificate, options.key, options.server_name)),
        ca=options.ca,
        certificate=options.certificate,
        key=options.key,
        token=Path(token_file) if token_file else None,
        server_name=options.server_name,
    )
    return IntentClient(
        options.address,
        security=security,
        timeout_s=options.timeout,
        priority=None if options.priority is None else Priority(options.priority),
    )
