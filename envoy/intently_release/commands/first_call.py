"""The command by which an operator can try what has just come up."""

import os
import shlex
import sys
from pathlib import Path

from intently_release.config import ReleaseConfig

_CLIENT = "intently"


def first_call(config: ReleaseConfig, python: Path | None = None) -> str:
    """A command line for a shell, with words in capitals where only the operator knows what goes there.

    Args:
        config: Says where callers come in, and what they must show.
        python: The interpreter beside which the client is looked for; the running one if None.
    """
    words = [_client(Path(sys.executable) if python is None else python), "classify", "wake me at seven tomorrow"]
    words += ["--address", config.listener.address]
    if (tls := config.listener.tls) is not None:
        words += ["--ca", "AUTHORITIES.pem", "--server-name", "NAME_IN_CERTIFICATE"]
        if tls.client_ca is not None:
            words += ["--certificate", "YOURS.pem", "--key", "YOUR_KEY.pem"]
    if config.servers.token_file is not None:
        words += ["--token-file", str(config.servers.token_file)]
    return shlex.join(words)


def _client(python: Path) -> str:
    """As short as it may be said from here."""
    beside = python.with_name(_CLIENT)
    if not os.access(beside, os.X_OK):
        return _CLIENT
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)
