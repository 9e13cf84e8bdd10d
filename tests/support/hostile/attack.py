"""What an attack is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to do harm.

    Attributes:
        run: Attacks the server at an address, so many times over; returns once the server has read all of it, or has
            ended the connection, and all connections are closed.
        times: Enough for a test; a bench does more.
    """

    run: Callable[[str, int], Awaitable[None]]
    times: int

    @property
    def name(self) -> str:
        """What people call it."""
        return self.run.__name__
