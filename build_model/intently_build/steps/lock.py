"""A folder that one process at a time works in."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intently_build.errors import BuildError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds a folder, which must be there, until the block ends or the process does, however it ends.

    Raises BuildError if another process holds it. Where the file system knows no locks, nobody is kept out.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BuildError(f"{folder}: another intently-build is at work there; wait until it has ended") from error
        except OSError:
            pass  # such as NFS, on a folder
        yield
    finally:
        os.close(opened)
