"""A queue in which flows get shares, whatever they ask for: start-time fair queueing, at two levels.

Flows take turns by the work that was done for them; within one, its classes (priorities, batches) take turns by their
weights. A flow weighs as much as the heaviest of its classes that waits, so that it gains nothing by having many. Work
is charged when it leaves the queue: who gives up while waiting owes nothing. A flow that was idle starts at the present
virtual time: it has neither saved up service nor owes any.

Source: Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996.
"""

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from intently_server.admission.flow import Entry, Flow

T = TypeVar("T")

_SPARE = 64  # entries of a heap that are out of date, beyond as many as are not, before it is rebuilt


class FairQueue(Generic[T]):
    """What waits, in the order in which fair shares would serve it."""

    def __init__(self) -> None:
        self._flows: dict[Hashable, Flow[T]] = {}
        self._turns: list[tuple[float, int, Flow[T]]] = []  # a heap; one entry of each that waits is in date
        self._heaviest: list[tuple[float, int, Flow[T]]] = []  # a heap, by minus the load when it last grew
        self._numbers = itertools.count()
        self._virtual_time = 0.0
        self._active_weight = 0.0
        self._length = 0
        self.cost = 0.0

    def __len__(self) -> int:
        return self._length

    def push(
        self, key: Hashable, of_class: Hashable, weight: float, cost: float, item: T, order: int | None = None
    ) -> Entry[T]:
        """Adds an entry.

        Args:
            key: Names the flow.
            of_class: Names the class within it.
            weight: Of the class; always the same.
            cost: Over 0.
            item: What waits.
            order: That of an entry that was withdrawn, whose place this one takes; None for the last place.
        """
        flow = self._flows.get(key)
        if flow is None:
            self._forget_idle()
            flow = self._flows[key] = Flow()
        self._active_weight -= flow.weight
        number = next(self._numbers)
        entry = flow.push(of_class, weight, cost, item, number if order is None else order)
        self._active_weight += flow.weight
        self._length += 1
        self.cost += cost
        if flow.length == 1:
            flow.tag = max(self._virtual_time, flow.finish)
            flow.turn = number
            heapq.heappush(self._turns, (flow.tag, number, flow))
        heapq.heappush(self._heaviest, (-flow.load, number, flow))
        self._drop_what_is_out_of_date()
        return entry

    def pop(self) -> T | None:
        """Takes the entry whose turn it is; None if nothing waits."""
        while self._turns:
            tag, number, flow = heapq.heappop(self._turns)
            if flow.turn != number:
                continue
            self._virtual_time = tag
            weight = flow.weight
            entry = flow.next()
            flow.finish = tag + entry.cost / weight
            self._take_out(entry)
            if flow.length:
                flow.tag, flow.turn = flow.finish, next(self._numbers)
                heapq.heappush(self._turns, (flow.tag, flow.turn, flow))
            return entry.item
        return None

    def withdraw(self, entry: Entry[T]) -> None:
        """Takes an entry out before its turn."""
        if entry.waiting:
            self._take_out(entry)
            self._drop_what_is_out_of_date()

    def latest_of_heaviest(self) -> Entry[T] | None:
        """The latest entry of the flow, and class, with the most waiting for its weight; None if none waits."""
        while self._heaviest:
            load, _, flow = self._heaviest[0]
            if flow.length and -load <= flow.load:
                return flow.latest()
            heapq.heappop(self._heaviest)
            if flow.length:  # it has become less since: it may still be the heaviest
                heapq.heappush(self._heaviest, (-flow.load, next(self._numbers), flow))
        return None

    def load(self, key: Hashable, weight: float, cost: float) -> float:
        """What a flow would have waiting for its weight with one more entry of that weight and cost."""
        flow = self._flows.get(key)
        if flow is None or not flow.length:
            return cost / weight
        return (flow.cost + cost) / max(flow.weight, weight)

    def ahead(self, key: Hashable, of_class: Hashable, weight: float, cost: float) -> float:
        """What is served, at most, until an entry of that cost, pushed now, has been: its own cost included.

        While a class is served what it has waiting, each other of its flow is served as much for its weight, and while
        a flow is, so is each other; none more than all that waits.
        """
        flow = self._flows.get(key)
        own, share, active = cost, weight, self._active_weight + weight
        if flow is not None and flow.length:
            own = flow.ahead(of_class, weight, cost)
            share = max(flow.weight, weight)
            active = self._active_weight - flow.weight + share
        return min(self.cost + cost, own * active / share)

    def _take_out(self, entry: Entry[T]) -> None:
        flow, weight = entry.flow, entry.flow.weight
        flow.take_out(entry)
        self._active_weight += flow.weight - weight
        if flow.length and flow.weight < weight:  # what it has waiting now weighs more
            heapq.heappush(self._heaviest, (-flow.load, next(self._numbers), flow))
        self._length -= 1
        self.cost -= entry.cost
        if not flow.length:
            flow.turn = None
        if not self._length:  # sums start afresh, without what rounding left in them
            self.cost = self._active_weight = 0.0

    def _drop_what_is_out_of_date(self) -> None:
        if len(self._turns) > 2 * self._length + _SPARE:
            self._turns = [each for each in self._turns if each[2].turn == each[1]]
            heapq.heapify(self._turns)
        if len(self._heaviest) > 4 * self._length + _SPARE:
            waiting = (flow for flow in self._flows.values() if flow.length)
            self._heaviest = [(-each.load, next(self._numbers), each) for each in waiting]
            heapq.heapify(self._heaviest)

    def _forget_idle(self) -> None:
        """Keeps callers who come and go from filling the memory: what one was served matters only for a while."""
        if len(self._flows) > 2 * self._length + _SPARE:
            self._flows = {
                key: each
                for key, each in self._flows.items()
                if each.length or (each.finish > self._virtual_time and self._length)
            }
