"""The command intently-server: settings in, exit code out."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial

import uvloop

from intently_server.app import EngineFactory, serve
from intently_server.bundle import Bundle, BundleError
from intently_server.engine.seat import SeatsProblem
from intently_server.front_ends import FrontEndProblem, Patience, SharedEngine, StartFailed, serve_together
from intently_server.listening import AddressError
from intently_server.logs import configure_logs
from intently_server.security import SecurityProblem
from intently_server.settings import Settings, SettingsProblem, read_settings
from intently_server.settings.tuned_on import say_what_was_taken
from intently_server.with_vllm import SHARED_VLLM, start_vllm

UNUSABLE = 2
_PATIENCE = Patience()

logger = logging.getLogger(__name__)


def main() -> None:
    """Runs the server. Exit codes stand in --help."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there are streams to move: by default it ends a process
    code = run(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed; torch's own teardown would take two seconds more, with nobody serving


def run(
    arguments: Sequence[str],
    start_engine: EngineFactory = start_vllm,
    shared_engine: SharedEngine = SHARED_VLLM,
    patience: Patience = _PATIENCE,
) -> int:
    """Runs the server with these arguments and returns its exit code.

    Args:
        arguments: Flags.
        start_engine: Starts the engine of a server that is one process.
        shared_engine: How the engine of several front ends is started.
        patience: With these.
    """
    try:
        settings = read_settings(arguments)
    except SettingsProblem as problem:
        return _unusable(str(problem))
    configure_logs(settings.log_level, settings.log_format)
    say_what_was_taken(settings)
    try:
        on_ready = partial(_say_how_to_call, settings)
        if settings.front_ends > 1:
            return uvloop.run(serve_together(settings, shared_engine, on_ready=on_ready, patience=patience))
        return uvloop.run(serve(settings, start_engine, on_ready=on_ready))
    except BundleError as error:
        return _unusable(f"cannot serve bundle {settings.bundle}: {error}")
    except (AddressError, SecurityProblem, SeatsProblem, FrontEndProblem) as error:
        return _unusable(str(error))
    except StartFailed as error:
        logger.error("%s", error)  # its own log has the trace
        return 1
    except Exception:
        logger.exception("the server failed")
        return 1


def _say_how_to_call(settings: Settings, address: str, bundle: Bundle) -> None:
    flags = [f"--address {address}"]
    if settings.tls_certificate is not None:
        flags.append("--ca AUTHORITIES.pem")
    if settings.tls_client_ca is not None:
        flags.append("--certificate CERTIFICATE.pem --key KEY.pem")
    if settings.token_file is not None:
        flags.append("--token-file TOKEN")
    message = (
        f"\n{bundle.model.name} is SERVING on {address}. In another shell:\n\n"
        f'    .venv/bin/intently classify "wake me at seven tomorrow" {" ".join(flags)}\n\n'
        "Ctrl-C ends it.\n"
    )
    sys.stdout.write(message)
    sys.stdout.flush()


def _unusable(reason: str) -> int:
    sys.stderr.write(f"intently-server: {reason}\n")
    return UNUSABLE


if __name__ == "__main__":
    main()
