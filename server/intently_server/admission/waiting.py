"""Requests that wait for the same thing, which they get in fair turns."""

import asyncio
from collections.abc import Callable

from intently_server.admission.fair_queue import FairQueue
from intently_server.admission.place import Place
from intently_server.errors import DeadlineUnmeetable, Overloaded
from intently_server.types import Stages

TOO_LATE = "the deadline would pass before an answer, by how long answers take at present"

_NO_TURN = "its turn did not come in time: this server has become slower, or others came first"

Refusal = Callable[[str, float], Overloaded]


class Waiting:
    """Places that wait. Each waits in one such at a time.

    Args:
        clock: Monotonic seconds.
        overloaded: Makes the error for a request that is refused for want of room, of a text and of the least seconds
            until there is some; counts it.
    """

    def __init__(self, clock: Callable[[], float], overloaded: Refusal) -> None:
        self._queue: FairQueue[Place] = FairQueue()
        self._clock = clock
        self._overloaded = overloaded

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def cost(self) -> float:
        """Of all that waits."""
        return self._queue.cost

    def ahead(self, place: Place, cost: float) -> float:
        """See `FairQueue.ahead`, for a request of this place."""
        return self._queue.ahead(place.flow, place.of_class, place.weight, cost)

    def push(self, place: Place, cost: float, stages: Stages | None = None) -> "asyncio.Future[None]":
        """Lets a request wait.

        Args:
            place: Its.
            cost: Over 0.
            stages: Told of its place in the queue, or has that of another, which it then takes.

        Returns:
            What `turn` awaits.
        """
        started = place.started = asyncio.get_running_loop().create_future()
        order = None if stages is None else stages.place_in_queue
        place.entry = self._queue.push(place.flow, place.of_class, place.weight, cost, place, order)
        if stages is not None:
            stages.place_in_queue = place.entry.order
        return started

    def check(self, place: Place, longest_s: float) -> None:
        """Refuses one for which no time is left in which its turn could come: see `turn`."""
        if not place.caller.patient and self._left_s(place, longest_s) <= 0:
            raise self._overloaded(_NO_TURN, 0.0)

    async def turn(self, place: Place, started: "asyncio.Future[None]", longest_s: float) -> None:
        """Returns once it is the turn of a request that was pushed. It may have come too, if this ends by an error.

        Args:
            place: Its.
            started: What `push` returned.
            longest_s: Seconds from its entry for which it may wait, unless its caller is patient.

        Raises:
            Overloaded: if others took its place, or if the wait becomes longer than was expected.
            DeadlineUnmeetable: if its turn came too late for the deadline.
        """
        try:
            async with asyncio.timeout(None if place.caller.patient else max(0.0, self._left_s(place, longest_s))):
                await started
        except TimeoutError:
            raise self._overloaded(_NO_TURN, 0.0) from None
        finally:
            if place.entry is not None:
                self._queue.withdraw(place.entry)
                place.entry = None

    def pop(self, least_s: float = 0.0) -> Place | None:
        """Takes the place whose turn it is, which `turn` then returns for; None if nothing waits.

        Args:
            least_s: Those whose deadlines leave less are refused: what they wait for would be lost on them.
        """
        while (place := self._queue.pop()) is not None:
            place.entry = None
            if place.started is None or place.started.done():  # it was cancelled, and is about to leave
                continue
            deadline = place.caller.deadline
            if deadline is None or deadline - self._clock() >= least_s:
                place.started.set_result(None)
                return place
            place.started.set_exception(DeadlineUnmeetable(TOO_LATE))
        return None

    def _left_s(self, place: Place, longest_s: float) -> float:
        return longest_s - (self._clock() - place.entered)

    def last_of_heaviest(self) -> Place | None:
        """The latest request of the flow with the most waiting for its weight; None if nothing waits."""
        latest = self._queue.latest_of_heaviest()
        return None if latest is None else latest.item

    def is_lighter(self, newcomer: Place, cost: float, than: Place) -> bool:
        """Whether with this newcomer its flow would have less waiting for its weight than that of one that waits."""
        return than.entry is not None and than.entry.flow.load > self._queue.load(newcomer.flow, newcomer.weight, cost)

    def push_out(self, victim: Place) -> None:
        """Refuses one that waits."""
        if victim.entry is not None:
            self._queue.withdraw(victim.entry)
            victim.entry = None
        if victim.started is not None and not victim.started.done():
            victim.started.set_exception(self._overloaded("others with less in flight came first", 0.0))
