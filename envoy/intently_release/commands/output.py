"""Standard output and standard error, whose readers may go away before the command has ended.

What a command did is done whether or not anybody could be told: neither a traceback nor an exit code of Python's may
stand in the place of its own.
"""

import contextlib
import errno
import io
import os
import sys
from pathlib import Path
from typing import TextIO


class OutputProblem(OSError):
    """Standard output cannot be written."""

    @property
    def is_unread(self) -> bool:
        """Whether its reader has gone, which is nobody's fault."""
        return self.errno == errno.EPIPE


def open_output() -> None:
    """Makes standard output tell its errors from all others, and gives what was closed from the start a place."""
    sys.stderr = sys.stderr or _null()
    out = sys.stdout or _null()
    if isinstance(out, io.TextIOWrapper):
        settings = {name: getattr(out, name) for name in ("encoding", "errors", "line_buffering", "write_through")}
        out = _Output(out.detach(), **settings)
    sys.stdout = out


def close_output() -> OutputProblem | None:
    """Writes out what is left; returns why that cannot be. It is not tried again."""
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            # Python flushes once more at its end, and would exit with a code of its own.
            with contextlib.suppress(OSError), _null() as null:
                os.dup2(null.fileno(), stream.fileno())
            if stream is sys.stdout:
                return OutputProblem(error.errno, error.strerror)
    return None


class _Output(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputProblem(error.errno, error.strerror) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputProblem(error.errno, error.strerror) from error


def _null() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
