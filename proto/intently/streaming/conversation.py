"""The context that a stream accumulates, as the client remembers it in order to replay it."""

from bisect import bisect_left
from collections.abc import Sequence

from intently.answers import Turn
from intently.streaming.item import Fate, Item, Said

MAX_TURNS = 256  # remembered before the oldest item that has no answer; a server takes fewer


class Conversation:
    """Remembers what was said since the last reset, in order.

    An item sees what was said before it. Each reset begins a new list; items keep the one that they belong to.

    Args:
        initial: What was said before the stream began.
    """

    def __init__(self, initial: Sequence[Turn]) -> None:
        self._spoken = [Said(0, turn, Fate.KEPT) for turn in initial]

    def place(self, item: Item) -> None:
        """Lets an item see what was said before it; if it is final, its text is a turn for those after it."""
        item.spoken = self._spoken
        if item.message.is_final or not item.message.utterance_id:
            item.said = Said(item.number, Turn.of_user(item.message.request.text))
            self._spoken.append(item.said)

    def reset(self) -> None:
        """Items from now on see nothing of what was said."""
        self._spoken = []

    def before(self, item: Item | None, turns: int) -> list[Said]:
        """The last turns that an item sees; None for the next item to come."""
        spoken = self._spoken if item is None else item.spoken
        end = len(spoken) if item is None else bisect_left(spoken, item.number, key=lambda said: said.number)
        return spoken[max(0, end - turns) : end]

    def settle(self, item: Item, fate: Fate) -> None:
        """Decides whether an item's turn stays. The first decision counts."""
        said = item.said
        if said is None or said.fate is not Fate.OPEN:
            return
        said.fate = fate
        if fate is Fate.DROPPED:
            item.spoken.remove(said)

    def forget_before(self, number: int) -> None:
        """Forgets what no item from this number on can see."""
        end = bisect_left(self._spoken, number, key=lambda said: said.number)
        if end >= 2 * MAX_TURNS:
            del self._spoken[: end - MAX_TURNS]
