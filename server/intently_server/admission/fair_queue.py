"""A queue in which connections get shares, whatever they ask for: start-time fair queueing, at two levels.

Connections take turns by the work that was done for them; within one, its classes (priorities, batches) take turns by
their weights. A connection weighs as much as the heaviest of its classes that waits, so that it gains nothing by having
many. Work is charged when it leaves the queue: who gives up while waiting owes nothing. A connection that was idle
starts at the present virtual time: it has neither saved up service nor owes any.

Source: Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996.
"""

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

from intently_server.admission.flow import Connection, Entry

T = TypeVar("T")

_SPARE = 64  # entries of a heap that are out of date, beyond as many as are not, before it is rebuilt


class FairQueue(Generic[T]):
    """What waits, in the order in which fair shares would serve it."""

    def __init__(self) -> None:
        self._connections: dict[Hashable, Connection[T]] = {}
        self._turns: list[tuple[float, int, Connection[T]]] = []  # a heap; one entry of each that waits is in date
        self._heaviest: list[tuple[float, int, Connection[T]]] = []  # a heap, by minus the load when it last grew
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
            key: Names the connection.
            of_class: Names the class within it.
            weight: Of the class; always the same.
            cost: Over 0.
            item: What waits.
            order: That of an entry that was withdrawn, whose place this one takes; None for the last place.
        """
        connection = self._connections.get(key)
        if connection is None:
            self._forget_idle()
            connection = self._connections[key] = Connection()
        self._active_weight -= connection.weight
        number = next(self._numbers)
        entry = connection.push(of_class, weight, cost, item, number if order is None else order)
        self._active_weight += connection.weight
        self._length += 1
        self.cost += cost
        if connection.length == 1:
            connection.tag = max(self._virtual_time, connection.finish)
            connection.turn = number
            heapq.heappush(self._turns, (connection.tag, number, connection))
        heapq.heappush(self._heaviest, (-connection.load, number, connection))
        self._drop_what_is_out_of_date()
        return entry

    def pop(self) -> T | None:
        """Takes the entry whose turn it is; None if nothing waits."""
        while self._turns:
            tag, number, connection = heapq.heappop(self._turns)
            if connection.turn != number:
                continue
            self._virtual_time = tag
            weight = connection.weight
            entry = connection.next()
            connection.finish = tag + entry.cost / weight
            self._take_out(entry)
            if connection.length:
                connection.tag, connection.turn = connection.finish, next(self._numbers)
                heapq.heappush(self._turns, (connection.tag, connection.turn, connection))
            return entry.item
        return None

    def withdraw(self, entry: Entry[T]) -> None:
        """Takes an entry out before its turn."""
        if entry.waiting:
            self._take_out(entry)
            self._drop_what_is_out_of_date()

    def latest_of_heaviest(self) -> Entry[T] | None:
        """The latest entry of the connection, and class, with the most waiting for its weight; None if none waits."""
        while self._heaviest:
            load, _, connection = self._heaviest[0]
            if connection.length and -load <= connection.load:
                return connection.latest()
            heapq.heappop(self._heaviest)
            if connection.length:  # it has become less since: it may still be the heaviest
                heapq.heappush(self._heaviest, (-connection.load, next(self._numbers), connection))
        return None

    def load(self, key: Hashable, weight: float, cost: float) -> float:
        """What a connection would have waiting for its weight with one more entry of that weight and cost."""
        connection = self._connections.get(key)
        if connection is None or not connection.length:
            return cost / weight
        return (connection.cost + cost) / max(connection.weight, weight)

    def ahead(self, key: Hashable, of_class: Hashable, weight: float, cost: float) -> float:
        """What is served, at most, until an entry of that cost, pushed now, has been: its own cost included.

        While a class is served what it has waiting, each other of its connection is served as much for its weight, and
        while a connection is, so is each other; none more than all that waits.
        """
        connection = self._connections.get(key)
        own, share, active = cost, weight, self._active_weight + weight
        if connection is not None and connection.length:
            own = connection.ahead(of_class, weight, cost)
            share = max(connection.weight, weight)
            active = self._active_weight - connection.weight + share
        return min(self.cost + cost, own * active / share)

    def _take_out(self, entry: Entry[T]) -> None:
        connection, weight = entry.connection, entry.connection.weight
        connection.take_out(entry)
        self._active_weight += connection.weight - weight
        if connection.length and connection.weight < weight:  # what it has waiting now weighs more
            heapq.heappush(self._heaviest, (-connection.load, next(self._numbers), connection))
        self._length -= 1
        self.cost -= entry.cost
        if not connection.length:
            connection.turn = None
        if not self._length:  # sums start afresh, without what rounding left in them
            self.cost = self._active_weight = 0.0

    def _drop_what_is_out_of_date(self) -> None:
        if len(self._turns) > 2 * self._length + _SPARE:
            self._turns = [each for each in self._turns if each[2].turn == each[1]]
            heapq.heapify(self._turns)
        if len(self._heaviest) > 4 * self._length + _SPARE:
            waiting = (connection for connection in self._connections.values() if connection.length)
            self._heaviest = [(-each.load, next(self._numbers), each) for each in waiting]
            heapq.heapify(self._heaviest)

    def _forget_idle(self) -> None:
        """Keeps callers who come and go from filling the memory: what one was served matters only for a while."""
        if len(self._connections) > 2 * self._length + _SPARE:
            self._connections = {
                key: each
                for key, each in self._connections.items()
                if each.length or (each.finish > self._virtual_time and self._length)
            }
