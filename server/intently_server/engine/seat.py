"""Seats at an engine core that several processes share: where each of them is asked, and where it is answered."""

import os
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SPARE_SEATS = 8
"""Seats for those who come in place of others that died: a seat serves once. The engine sends each a first word when it
starts, which waits for whoever sits down there, and no second one."""

_LONGEST_PATH = 107  # bytes of a unix socket's, on Linux


class SeatsProblem(Exception):
    """There is no folder for the sockets."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One process's place at a shared engine core.

    Attributes:
        index: Its number, by which the engine tells whose a request is.
        clients: How many sit at a time: what balances between several engines reckons with it.
        input_address: ZeroMQ's address where whoever sits here listens for the engine, to send it requests.
        output_address: The same, to be sent answers.
        own_address: A unix socket where it alone answers calls: what listens to a shared port cannot be told apart.
        folder: Where all these sockets are.
    """

    index: int
    clients: int
    input_address: str
    output_address: str
    own_address: str
    folder: Path


class Seats:
    """A folder of sockets that only this user reaches, for so many at a time and their successors.

    Args:
        clients: How many sit at a time.
        spare: How many may come in place of others.

    Raises:
        SeatsProblem: if the folder cannot be made, or its path is too long for a socket's.
    """

    def __init__(self, clients: int, spare: int = SPARE_SEATS) -> None:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="intently-")
        except OSError as error:
            raise SeatsProblem(f"no folder can be made for the sockets of front ends: {error}") from error
        self.folder = Path(self._folder.name).resolve()
        self.all: Sequence[Seat] = [self._seat(number, clients) for number in range(clients + spare)]
        longest = len(os.fsencode(self.folder / f"{len(self.all)}.out"))
        if longest > _LONGEST_PATH:
            self.remove()
            raise SeatsProblem(
                f"the path of the folder for temporary files, {tempfile.gettempdir()}, is {longest - _LONGEST_PATH} "
                "bytes too long for the sockets of front ends: set TMPDIR to a shorter one"
            )
        self._free = deque(self.all)

    def _seat(self, number: int, clients: int) -> Seat:
        return Seat(
            index=number,
            clients=clients,
            input_address=f"ipc://{self.folder}/{number}.in",
            output_address=f"ipc://{self.folder}/{number}.out",
            own_address=f"unix:{self.folder}/{number}",
            folder=self.folder,
        )

    def take(self) -> Seat | None:
        """A seat that nobody has had; None if there is none left."""
        return self._free.popleft() if self._free else None

    def give_back(self, seat: Seat) -> None:
        """Whoever took it never sat there: the engine's first word still waits."""
        self._free.appendleft(seat)

    def remove(self) -> None:
        """Removes the folder."""
        self._folder.cleanup()
