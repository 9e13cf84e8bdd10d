"""Bounds what is in flight, gives everybody a fair share, and refuses at once what would wait too long.

A request enters (counted, or refused), is tokenized, and then takes its turn: at once if the engine has room, else
after those before it in a fair queue. What the queue holds can still be taken back; what the engine holds, it works on.
"""

import math
import time
from collections import Counter
from collections.abc import Callable

from intently_server.admission.bounds import TRUSTED_SHARE, AdmissionLoad, Bounds
from intently_server.admission.capacity import Capacity
from intently_server.admission.fair_threads import FairThreads
from intently_server.admission.fastest import Fastest
from intently_server.admission.place import Place
from intently_server.admission.waiting import TOO_LATE, Waiting
from intently_server.errors import DeadlineUnmeetable, Overloaded
from intently_server.types import Caller, Stages

_SHORTEST_RETRY_S = 0.01
_LONGEST_RETRY_S = 5.0
_ENGINE_SHARE = 1 / 3  # of the longest wait that may be spent inside the engine
_LONG_SHARE = 0.5  # of it, which tells of too many inside the engine
_LEAST_SHARE = 0.5  # of the longest wait that may be expected, whatever the engine holds
_LEFT_FREE = 1.5  # times what the engine holds
_TELLING_WAIT_S = 0.05  # in a proxy, after which others wait there too


class Admission:
    """Hands out places.

    Args:
        bounds: What may be in flight.
        clock: Monotonic seconds.
    """

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._enough = min(bounds.least_running, bounds.max_running)
        self._capacity = Capacity(self._enough)
        self._queue = Waiting(clock, self._overloaded)
        self._threads: list[FairThreads] = []
        self._in_flight = 0
        self._of_flow: Counter[str] = Counter()  # in flight
        self._running = 0
        self._running_cost = 0.0
        self._mean_cost = 1.0
        self._refused = 0
        self._fastest = Fastest()

    def threads(self, count: int, name: str) -> FairThreads:
        """Threads for work that a request needs before its turn. Its place can be taken while it waits for one."""
        made = FairThreads(count, name, self._longest_expected_s, self._clock, self._overloaded)
        self._threads.append(made)
        return made

    def load(self) -> AdmissionLoad:
        """What is in flight."""
        return AdmissionLoad(
            in_flight=self._in_flight,
            running=self._running,
            queued=len(self._queue),
            queued_tokens=round(self._queue.cost),
            requests_per_s=self._capacity.requests_per_s,
            refused=self._refused,
        )

    def enter(self, caller: Caller) -> Place:
        """A place for a request, to be held by a `with` block until it is answered.

        Where all places are taken, the caller with the most waiting for its share loses its latest request to one with
        less.

        Raises:
            Overloaded: if there is no place, or an answer would take longer than the bound. Its hint is when the
                measured rate will have made room.
            DeadlineUnmeetable: if the caller gives up before it can be answered, by the measured rate and by how long
                the engine took for the fastest answers of late. An idle server tries: so it learns that it has become
                faster.
        """
        now = self._clock()
        place = Place(self, caller, now)
        if caller.waited_s > _TELLING_WAIT_S and not caller.patient and self._runs_enough:
            self._capacity.pressed(now)
        self._refuse_the_late(place, now)
        if self._in_flight >= self._bounds.max_in_flight and not self._make_room(place):
            raise self._overloaded(f"{self._bounds.max_in_flight} requests are in flight, as many as this server takes")
        self._in_flight += 1
        self._of_flow[place.flow] += 1
        return place

    async def turn(self, place: Place, cost: float, stages: Stages) -> None:
        """See `Place.turn`."""
        place.cost = cost
        self._mean_cost += 0.05 * (cost - self._mean_cost)
        if self._has_room:
            self._start(place)
            return
        longest_s = self._longest_expected_s(place) - place.caller.waited_s
        self._queue.check(place, longest_s)  # before another is pushed out for it
        while self._queue.cost + cost > self._bounds.max_queued_tokens:
            if not self._push_out(place, cost):
                raise self._overloaded(f"{self._bounds.max_queued_tokens} tokens wait, as many as this server takes")
        started = self._queue.push(place, cost, stages)
        self._start_those_next()  # a push-out may have made room
        await self._queue.turn(place, started, longest_s)

    def leave(self, place: Place, answered: bool) -> None:
        """Gives a place back."""
        self._in_flight -= 1
        self._of_flow[place.flow] -= 1
        if not self._of_flow[place.flow]:
            del self._of_flow[place.flow]
        if not place.running:
            return
        now = self._clock()
        self._running -= 1
        self._running_cost -= place.cost
        inside_s = now - place.begun
        if answered:
            self._capacity.end(
                now, place.cost, inside_s, waiting=len(self._queue) > 0, late=inside_s > self._longest_inside_s
            )
            self._fastest.add(inside_s)
        elif place.expired_in_engine(now, at_least_s=self._fastest.seconds):
            self._capacity.expire(now, inside_s)
        if not self._running:
            self._running_cost = 0.0
            self._capacity.idle(now)
        self._start_those_next()

    @property
    def _has_room(self) -> bool:
        """Whether the engine may be given a request at once."""
        return self._running < self._max_running and not len(self._queue)

    @property
    def _runs_enough(self) -> bool:
        """Whether the engine has so much that it may be full."""
        return self._running >= self._enough

    @property
    def _max_running(self) -> int:
        """Requests that the engine is given: as many as it works off in its share of the longest wait, and no more than
        it answers before deadlines pass.
        """
        rate, enough = self._capacity.requests_per_s, self._capacity.most
        if rate is not None:
            enough = min(enough, rate * self._bounds.max_wait_s * _ENGINE_SHARE)
        if enough >= self._bounds.max_running:
            return self._bounds.max_running
        return min(self._bounds.max_running, max(self._bounds.least_running, math.ceil(enough)))

    def _longest_expected_s(self, place: Place) -> float:
        """Seconds of the longest wait that may be expected of a request. What the engine holds it works off in long
        steps, by which turns and answers come later than was expected. Callers with much less in flight than others
        need not make up for that: their turns come sooner.
        """
        max_wait_s, rate = self._bounds.max_wait_s, self._capacity.cost_per_s
        inside_s = 0.0 if not rate or self._is_light(place) else self._running_cost / rate
        return min(TRUSTED_SHARE * max_wait_s, max(_LEAST_SHARE * max_wait_s, max_wait_s - _LEFT_FREE * inside_s))

    def _is_light(self, place: Place) -> bool:
        """Whether its caller has less than half as much in flight as others have on average, this request included."""
        own = self._of_flow[place.flow]
        flows = len(self._of_flow) + (not own)
        return 2 * max(1, own) * flows < self._in_flight

    @property
    def _longest_inside_s(self) -> float:
        """Seconds inside the engine that tell of too many there, and not of an engine whose every step takes long."""
        max_wait_s = self._bounds.max_wait_s
        return min(TRUSTED_SHARE * max_wait_s, max(_LONG_SHARE * max_wait_s, 2 * self._fastest.seconds))

    @property
    def _least_inside_s(self) -> float:
        """Seconds that one more request needs inside the engine, by those of late."""
        return self._capacity.stay_s if self._running + 1 >= self._enough else self._fastest.seconds

    def _start_those_next(self) -> None:
        while self._running < self._max_running and (place := self._queue.pop(self._least_inside_s)) is not None:
            self._start(place)

    def _start(self, place: Place) -> None:
        place.running = True
        place.begun = self._clock()
        if not self._running:
            self._capacity.begin(place.begun)
        self._running += 1
        self._running_cost += place.cost

    def _expected_s(self, place: Place) -> float:
        """Seconds in which the measured rate works off what comes before a new request, and the request."""
        rate = self._capacity.cost_per_s
        if not rate or not self._in_flight:
            return 0.0
        return (self._running_cost + self._queue.ahead(place, self._mean_cost)) / rate

    def _least_s(self, expected_s: float) -> float:
        """Seconds that an answer takes at least. Where others wait, a step of the engine is under way as well, half of
        which is yet to come: what is expected of the rate knows nothing of steps.
        """
        fastest_s = self._fastest.seconds if self._in_flight else 0.0
        beside_s = 0.0 if self._has_room else 0.5 * min(expected_s, fastest_s)
        return max(expected_s, fastest_s) + beside_s

    def _refuse_the_late(self, place: Place, now: float) -> None:
        expected_s, caller = self._expected_s(place), place.caller
        if caller.deadline is not None:
            remaining_s = caller.deadline - now
            if remaining_s <= 0:
                raise DeadlineUnmeetable("the deadline had passed before the work began")
            if remaining_s < self._least_s(expected_s):
                raise DeadlineUnmeetable(TOO_LATE)
        # What waited too long in a proxy is still better answered late than never, if it delays nobody.
        in_all_s = expected_s + (0.0 if self._has_room else caller.waited_s)
        longest_s = self._longest_expected_s(place)
        if not caller.patient and in_all_s > longest_s:
            raise self._overloaded(
                f"an answer would come about {in_all_s:.2g} s after the call, and this server takes on what it expects "
                f"to answer in {longest_s:.2g} s, so as to be done in {self._bounds.max_wait_s:g} s"
            )

    def _make_room(self, newcomer: Place) -> bool:
        """Refuses one that waits for its turn, or for a thread if its flow has more in flight than the newcomer's."""
        if self._push_out(newcomer, self._mean_cost):
            return True
        for threads in self._threads:
            victim = threads.waiting.last_of_heaviest()
            if victim is not None and self._of_flow[victim.flow] > self._of_flow[newcomer.flow] + 1:
                threads.waiting.push_out(victim)
                return True
        return False

    def _push_out(self, newcomer: Place, cost: float) -> bool:
        """Refuses the latest request of the flow with the most waiting, if that is more than the newcomer's has."""
        victim = self._queue.last_of_heaviest()
        if victim is None or victim.flow == newcomer.flow or not self._queue.is_lighter(newcomer, cost, than=victim):
            return False
        self._queue.push_out(victim)
        return True

    def _overloaded(self, message: str, least_retry_s: float = 0.0) -> Overloaded:
        if 2 * (self._running + len(self._queue)) >= self._in_flight:  # else it is the texts that are too much
            self._capacity.pressed(self._clock())
        self._refused += 1
        return Overloaded(message, self._retry_after(least_retry_s))

    def _retry_after(self, least_s: float) -> float:
        """Seconds in which the measured rate works off a tenth of what is in flight, at least so many."""
        rate = self._capacity.requests_per_s or self._capacity.throughput
        hint = self._in_flight / (10 * rate) if rate else 0.0
        return min(_LONGEST_RETRY_S, max(_SHORTEST_RETRY_S, hint, least_s))
