"""A disk that is full or may not be written, whoever meets it first: libraries say it each in their own way."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intently_build.errors import BuildError

FULL = (errno.ENOSPC, errno.EDQUOT)
SPOKEN = ("No space left on device", "Disk quota exceeded")
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
UNSPOKEN = ("PytorchStreamWriter", "inline_container", "iostream error")  # PyTorch says only that it could not write
ALMOST_NOTHING = 1 << 20  # bytes


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what is raised while writing into `folder` on a full disk into one line that says so (BuildError).

    So it does with a file or folder that may not be written or read, or that is in the way.
    """
    try:
        yield
    except BuildError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSED:
            raise BuildError(f"{error.filename or folder}: {error.strerror}") from error
        if not _is_full(error, folder):
            raise
        free = _free(folder) / 1e6
        raise BuildError(f"{folder}: the disk is full ({free:.0f} MB free); make room and run it again") from error


def _is_full(error: BaseException, folder: Path) -> bool:
    causes: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in causes:
        causes.append(step)
        step = step.__cause__ or step.__context__
    if any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes):
        return True
    if any(spoken in str(cause) for cause in causes for spoken in SPOKEN):
        return True
    wrote = any(unspoken in str(cause) for cause in causes for unspoken in UNSPOKEN)
    return wrote and _free(folder) < ALMOST_NOTHING


def _free(folder: Path) -> int:
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
