"""The items that wait to be sent, in the order in which they were accepted."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from intently.streaming.item import Item


class Waiting:
    """A list of items, sorted by number: one that must be sent again goes before those that came after it."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def first(self) -> Item | None:
        """The oldest."""
        return self._items[0] if self._items else None

    def add(self, item: Item) -> None:
        """Lets an item wait."""
        insort(self._items, item, key=_number)

    def remove(self, item: Item) -> None:
        """Ends the wait of an item that waits."""
        del self._items[bisect_left(self._items, item.number, key=_number)]

    def clear(self) -> None:
        """Ends the wait of all."""
        self._items.clear()

    def due_at(self, now: float) -> float | None:
        """When the next one may be sent that must wait for its time; None if none must."""
        return min((item.not_before for item in self._items if item.not_before > now), default=None)


def _number(item: Item) -> int:
    return item.number
