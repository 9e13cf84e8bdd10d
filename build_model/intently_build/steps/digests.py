"""SHA-256 of files and folders, each file read once a run."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.rows import file_sha256


class Digests:
    """Hashes files, and remembers those that have not changed since, renamed ones too: by inode, size and time."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int, int], str] = {}

    def file(self, path: Path) -> str:
        """Returns 64 hexadecimal digits. Raises BuildError if the file cannot be read."""
        try:
            state = path.stat()
            key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
            if key not in self._known:
                self._known[key] = file_sha256(path)
        except OSError as error:
            raise BuildError(f"{path}: cannot read it: {error.strerror}") from error
        return self._known[key]

    def files(self, folder: Path, leave_out: Iterable[str] = ()) -> dict[str, str]:
        """Returns each file under `folder`, by its path in it, with its digest. Names in `leave_out` are skipped."""
        skipped = set(leave_out)
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in skipped)
        return {path.relative_to(folder).as_posix(): self.file(path) for path in paths}

    def of(self, path: Path, leave_out: Iterable[str] = ()) -> str:
        """Returns the digest of a file, or one over the names and digests of a folder's files.

        Raises BuildError if there is no such file or folder.
        """
        if not path.is_dir():
            return self.file(path)
        lines = [f"{digest}  {name}\n" for name, digest in self.files(path, leave_out).items()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
