"""What one flow has waiting, in classes that share its turns by their weights."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Entry(Generic[T]):
    """One entry that waits, or did.

    Attributes:
        order: Entries of a class leave in this order.
    """

    __slots__ = ("cost", "flow", "item", "of_class", "order", "waiting")

    def __init__(self, flow: "Flow[T]", of_class: "WaitingClass[T]", cost: float, item: T, order: int) -> None:
        self.flow = flow
        self.of_class = of_class
        self.cost = cost
        self.item = item
        self.order = order
        self.waiting = True


class WaitingClass(Generic[T]):
    """Entries of one class, in their order. `finish` is the virtual time at which what it was served is done."""

    __slots__ = ("cost", "entries", "finish", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.finish = 0.0
        self.cost = 0.0
        self.entries: deque[Entry[T]] = deque()


class Flow(Generic[T]):
    """The classes of one flow.

    Attributes:
        finish: Virtual time, among flows, at which what it was served is done.
        tag: At which its next entry starts.
        turn: Names its place in the heap of turns; None while nothing waits.
        weight: That of the heaviest class that waits; 0 if none does.
    """

    __slots__ = ("_classes", "_virtual_time", "cost", "finish", "length", "tag", "turn", "weight")

    def __init__(self) -> None:
        self._classes: dict[Hashable, WaitingClass[T]] = {}
        self._virtual_time = 0.0
        self.finish = 0.0
        self.tag = 0.0
        self.turn: int | None = None
        self.length = 0
        self.cost = 0.0
        self.weight = 0.0

    @property
    def load(self) -> float:
        """What waits, for its weight."""
        return self.cost / self.weight if self.length else 0.0

    def push(self, name: Hashable, weight: float, cost: float, item: T, order: int) -> Entry[T]:
        """Adds an entry to the class of that name."""
        of_class = self._classes.get(name)
        if of_class is None:
            of_class = self._classes[name] = WaitingClass(weight)
        if not of_class.entries:
            of_class.finish = max(of_class.finish, self._virtual_time)
        entry = Entry(self, of_class, cost, item, order)
        at = len(of_class.entries)
        while at and of_class.entries[at - 1].order > entry.order:
            at -= 1
        of_class.entries.insert(at, entry)
        of_class.cost += entry.cost
        self.cost += entry.cost
        self.length += 1
        self.weight = max(self.weight, weight)
        return entry

    def next(self) -> Entry[T]:
        """The entry whose turn it is; charges its class for it. Something must wait."""
        of_class = min((each for each in self._classes.values() if each.entries), key=lambda each: each.finish)
        entry = of_class.entries[0]
        self._virtual_time = of_class.finish
        of_class.finish += entry.cost / of_class.weight
        return entry

    def latest(self) -> Entry[T]:
        """The latest entry of the class with the most waiting for its weight. Something must wait."""
        waiting = (each for each in self._classes.values() if each.entries)
        return max(waiting, key=lambda each: each.cost / each.weight).entries[-1]

    def take_out(self, entry: Entry[T]) -> None:
        """Takes out an entry that waits."""
        of_class = entry.of_class
        entry.waiting = False
        of_class.entries.remove(entry)
        of_class.cost -= entry.cost
        self.cost -= entry.cost
        self.length -= 1
        if not of_class.entries:
            of_class.cost = 0.0
            self.weight = max((each.weight for each in self._classes.values() if each.entries), default=0.0)
        if not self.length:
            self.cost = 0.0

    def ahead(self, name: Hashable, weight: float, cost: float) -> float:
        """What of this flow is served, at most, until an entry of that class and cost, pushed now, has been."""
        of_class = self._classes.get(name)
        own = cost + (of_class.cost if of_class else 0.0)
        others = sum(each.weight for each in self._classes.values() if each.entries and each is not of_class)
        return min(self.cost + cost, own * (others + weight) / weight)
