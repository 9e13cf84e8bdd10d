"""Where the server's log goes: standard error, a line an event."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logs(level: str) -> None:
    """Sends the server's own loggers to standard error at `level`; leaves the engine's loggers alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger = logging.getLogger("intently_server")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False
