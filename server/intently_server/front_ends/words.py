"""What the first process and its front ends say to each other, over a pipe each."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


class Order(enum.Enum):
    """What a front end is told."""

    ATTACH = "attach"  # the engine has started
    SERVE = "serve"  # all front ends are ready
    STOP = "stop"  # drain; said again, hurry
    MOVE = "move"  # let open streams move
    TELL = "tell"  # what it has counted


class Event(enum.Enum):
    """What a front end tells."""

    SITS_DOWN = "sits down"  # at its seat, now
    READY = "ready"  # its answers came out right
    SERVING = "serving"  # as it says to all who ask


@dataclass(frozen=True, slots=True)
class Failed:
    """A front end cannot begin.

    Attributes:
        reason: Why, for whoever started the server.
        unusable: Whether what it was given is at fault: its bundle, its address, its certificates.
    """

    reason: str
    unusable: bool


class Line:
    """One end of a pipe, on the event loop.

    Args:
        connection: Its.
        on_word: Called with each word that comes.
        on_end: Called once, when the other end is gone.
    """

    def __init__(self, connection: Connection, on_word: Callable[[Any], None], on_end: Callable[[], None]) -> None:
        self._connection = connection
        self._on_word = on_word
        self._on_end = on_end
        asyncio.get_running_loop().add_reader(connection.fileno(), self._read)

    def say(self, word: object) -> None:
        """Sends a word; nothing happens where the other end is gone."""
        try:
            self._connection.send(word)
        except OSError:
            return

    def drain(self) -> None:
        """Hears what has come, without waiting."""
        while not self._connection.closed and self._connection.poll():
            self._read()

    def close(self) -> None:
        """Hears and says nothing more."""
        if not self._connection.closed:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._connection.close()

    def _read(self) -> None:
        try:
            word = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            self._on_end()
            return
        self._on_word(word)
