"""A fault of intently-release itself: a line for the operator, and the traceback in a log below the run directory."""

import os
import sys
import traceback
from datetime import datetime
from pathlib import Path


def tell_of_fault(error: Exception, log: Path | None) -> None:
    """Says where it happened, and nothing of what was worked with: a message may quote what must not be told.

    Args:
        error: What nobody foresaw.
        log: Only its owner may read it; without one that can be written, standard error gets the traceback.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"a fault of intently-release itself: {type(error).__name__} in {frame.name}, {Path(frame.filename).name}"
    trace = "".join(traceback.format_exception(error))
    if log is not None and _kept(trace, log):
        sys.stderr.write(f"intently-release: {what}, line {frame.lineno}; please report it with what {log} says\n")
    else:
        sys.stderr.write(f"intently-release: {what}, line {frame.lineno}; please report it:\n{trace}")


def _kept(trace: str, log: Path) -> bool:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(f"=== {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z}: {' '.join(sys.argv[1:2])}\n{trace}")
    except (OSError, ValueError):
        return False
    return True
