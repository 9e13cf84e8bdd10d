"""The front ends that live: started, told and ended together."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from intently_server.engine.seat import Seats
from intently_server.front_ends.front_end import Task
from intently_server.front_ends.process import FrontEnd
from intently_server.front_ends.shared_engine import SharedEngine
from intently_server.front_ends.words import Order
from intently_server.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """How front ends are started.

    Attributes:
        settings: Of each, its part.
        revision: Of the bundle, as the first process has read it.
        own_addresses: Where each listens beside the shared address, by its place; empty for nowhere.
        engine: How it is reached.
    """

    settings: Settings
    revision: str
    own_addresses: Sequence[str]
    engine: SharedEngine


class FrontEnds:
    """The front ends that live.

    Args:
        how: How they are started.
        seats: Where they sit at the engine.
        on_start: Called with each.
    """

    def __init__(self, how: Start, seats: Seats, on_start: Callable[[FrontEnd], None]) -> None:
        self._how = how
        self._seats = seats
        self._on_start = on_start
        self.living: list[FrontEnd] = []

    def start(self, place: int, *, late: bool) -> FrontEnd | None:
        """Starts another; None if no seat is left for it.

        Raises:
            OSError: if this machine has nothing left to start it with.
        """
        seat = self._seats.take()
        if seat is None:
            return None
        how = self._how
        own_address = how.own_addresses[place] if how.own_addresses else ""
        task = Task(how.settings, how.revision, place, seat, own_address, late)
        try:
            made = FrontEnd(task, how.engine)
        except OSError:
            self._seats.give_back(seat)
            raise
        self.living.append(made)
        try:
            self._on_start(made)
        except (OSError, psutil.Error) as error:
            logger.error("front end %d cannot be watched: %s; it is killed", place, error)
            made.kill()
        logger.info("front end %d started, pid %d", place, made.pid)
        return made

    def tell(self, order: Order) -> None:
        """Tells all that live."""
        for each in self.living:
            each.tell(order)

    def take_dead(self) -> Sequence[FrontEnd]:
        """Those that have ended since the last call, who from now on are none of these.

        Their seats are free again if they never sat there.
        """
        dead = [each for each in self.living if each.ended.done()]
        for each in dead:
            if not each.has_sat:
                self._seats.give_back(each.seat)
        self.living = [each for each in self.living if each not in dead]
        return dead

    async def gone(self, seconds: float) -> None:
        """Returns once all have ended, by force after so many seconds."""
        if self.living:
            await asyncio.wait([each.ended for each in self.living], timeout=seconds)
        for each in self.living:
            if not each.ended.done():
                logger.warning("front end %d has not ended in time and is killed", each.place)
        await self.kill()

    async def kill(self) -> None:
        """Ends those that have not ended, at once."""
        for each in self.living:
            if not each.ended.done():
                each.kill()
                await each.ended
