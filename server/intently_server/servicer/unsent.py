"""Bounds the answers that were made and are not sent yet: a caller that reads none lets them pile up.

gRPC keeps them for as long as the connection lasts, and has no way to take one back.
"""

from intently_server.errors import Overloaded
from intently_server.servicer.shared_room import SharedRoom

_ASSURED = 64 * 1024  # bytes: some answers of one utterance each
_RETRY_S = 1.0  # nobody knows when a caller will read


class UnsentAnswers:
    """Those of all callers.

    Args:
        per_caller: Bytes of one caller's.
        in_all: Bytes of all callers' together.
    """

    def __init__(self, per_caller: int, in_all: int) -> None:
        self._room = SharedRoom(in_all, per_caller, min(_ASSURED, per_caller))
        self._full: set[str] = set()

    def of(self, caller: str) -> "Unsent":
        """Those of a new call, to be closed at its end."""
        return Unsent(self._room, self._full, caller)


class Unsent:
    """Those of one call or stream.

    Args:
        room: Shared with others.
        full: Callers of which an answer found no room, until one of theirs is sent; shared too.
        caller: Whose call it is.
    """

    def __init__(self, room: SharedRoom, full: set[str], caller: str) -> None:
        self._room = room
        self._full = full
        self._caller = caller
        self._size = 0
        self._closed = False

    def check(self) -> None:
        """Accepts another answer in silence, however large: to be asked before anything is spent on it.

        Raises:
            Overloaded: if the caller has read too little of what was answered before.
        """
        if self._caller in self._full or self._room.left(self._caller) <= 0:
            raise Overloaded("too much of what was answered before is not read yet", _RETRY_S)

    def add(self, size: int, *, at_most: bool = True) -> None:
        """Counts an answer of so many bytes. One that comes when nothing is unsent may be as large as it likes.

        Args:
            size: Bytes.
            at_most: Refuse it where there is no room; else it is counted all the same, for answers that are few and
                of which each was asked for by `check`.

        Raises:
            Overloaded: if there is no room for it; it must not be kept then.
        """
        if self._closed:
            return
        if at_most and self._room.taken and size > self._room.left(self._caller):
            if self._room.holds(self._caller):
                self._full.add(self._caller)
            raise Overloaded("this answer finds too much before it that is not read yet", _RETRY_S)
        self._take(size)

    def remove(self, size: int) -> None:
        """Counts an answer of so many bytes as sent."""
        if not self._closed:
            self._take(-size)

    def close(self) -> None:
        """Counts nothing of this call any more."""
        self._take(-self._size)
        self._closed = True

    def _take(self, size: int) -> None:
        self._size += size
        if size >= 0:
            self._room.take(self._caller, size)
        else:
            self._room.give_back(self._caller, -size)
            self._full.discard(self._caller)
