"""A value that files hold: read again as they change, and kept as it was while they make no sense."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from intently_server.security.problem import SecurityProblem

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Seen = tuple[bytes, ...]


class Reloading(Generic[T]):
    """The value of some files, as of the last time that they made sense.

    Files are told apart by what they hold, so it does not matter whether they are written in place, renamed, or reached
    by a symbolic link that now points elsewhere. One thread at a time may call `poll`; `current` is for all.

    Args:
        files: Where the value is read from.
        parse: Makes the value of the files' contents, in their order. Raises SecurityProblem if it cannot.
        taken: Told of each value that is taken: the first and every later one.
        doubt: Why a value had better not be used, if there is a reason. The first value is used all the same, and so is
            one that has become doubtful; a later value is not.

    Raises:
        SecurityProblem: if the files make no sense now.
    """

    def __init__(
        self,
        files: Sequence[Path],
        parse: Callable[[Sequence[bytes]], T],
        taken: Callable[[T], None],
        doubt: Callable[[T], str | None] = lambda _value: None,
    ) -> None:
        self._files = tuple(files)
        self._parse = parse
        self._taken = taken
        self._doubt = doubt
        contents = self._read()
        self._current = self._value(contents)
        self._seen = _digests(contents)
        self._said: tuple[_Seen, str] | None = None
        self._doubted: str | None = None
        taken(self._current)
        self._say_if_doubtful()

    @property
    def current(self) -> T:
        """The value that is in use."""
        return self._current

    def poll(self) -> None:
        """Reads the files, and takes their value if it is another one and a good one; says once what is wrong with it.

        Never raises; reads files, so it is for a thread.
        """
        seen: _Seen = ()
        try:
            contents = self._read()
            seen = _digests(contents)
            if seen == self._seen:
                self._said = None
                self._say_if_doubtful()
            elif seen == _digests(self._read()):  # else they are being written: the next poll sees them whole
                self._take(contents, seen)
        except SecurityProblem as problem:
            if self._said != (seen, str(problem)):
                self._said = (seen, str(problem))
                logger.warning("%s; the last good one stays in use", problem)

    def _take(self, contents: Sequence[bytes], seen: _Seen) -> None:
        value = self._value(contents)
        if doubt := self._doubt(value):
            raise SecurityProblem(doubt)
        self._current, self._seen, self._said, self._doubted = value, seen, None, None
        self._taken(value)

    def _say_if_doubtful(self) -> None:
        doubt = self._doubt(self._current)
        if doubt != self._doubted:
            self._doubted = doubt
            if doubt:
                logger.warning("%s, and is in use", doubt)

    def _value(self, contents: Sequence[bytes]) -> T:
        try:
            return self._parse(contents)
        except SecurityProblem:
            raise
        except Exception as error:  # a library's, whose text might quote a key; the next change must still be seen
            files = ", ".join(map(str, self._files))
            raise SecurityProblem(f"{files}: cannot be understood ({type(error).__name__})") from None

    def _read(self) -> list[bytes]:
        return [_content(file) for file in self._files]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SecurityProblem(f"{file}: unreadable: {error.strerror}") from error


def _digests(contents: Sequence[bytes]) -> _Seen:
    """Enough to tell contents apart; a key is not kept longer than it is needed."""
    return tuple(hashlib.sha256(content).digest() for content in contents)
