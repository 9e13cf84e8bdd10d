"""Warns of files that hold secrets and that everybody on the machine can read."""

import logging
import stat
from pathlib import Path

logger = logging.getLogger(__name__)


def warn_if_others_can_read(file: Path) -> None:
    """Says so in the log if neither owner nor group is needed to read the file."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return  # it is gone again: whoever reads it next says so
    if mode & stat.S_IROTH:
        logger.warning("%s: everybody on this machine can read it; chmod o-r would change that", file)
