"""The items in flight on one stream, by id and by utterance."""

from collections.abc import Iterator

from intently_server.errors import IntentlyError
from intently_server.servicer.stream.item import Item


class InFlight:
    """Items that were taken and whose answers are not on their way yet."""

    def __init__(self) -> None:
        self._by_id: dict[str, Item] = {}
        self._by_utterance: dict[str, list[Item]] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._by_id.values()))

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._by_id

    def add(self, item: Item) -> None:
        """Takes an item whose id is not in flight."""
        self._by_id[item.request_id] = item
        if item.utterance_id:
            self._by_utterance.setdefault(item.utterance_id, []).append(item)

    def remove(self, item: Item) -> None:
        """Forgets an item, if it is known: one that was refused is not."""
        if self._by_id.get(item.request_id) is not item:
            return
        del self._by_id[item.request_id]
        if item.utterance_id:
            revisions = self._by_utterance[item.utterance_id]
            revisions.remove(item)
            if not revisions:
                del self._by_utterance[item.utterance_id]

    def newest_sequence(self, utterance_id: str) -> int | None:
        """Of the utterance's revisions in flight; None if there is none."""
        revisions = self._by_utterance.get(utterance_id)
        return revisions[-1].sequence if revisions else None

    def withdraw(self, request_id: str, why: IntentlyError) -> None:
        """Withdraws an item; one that is not in flight is ignored."""
        if (item := self._by_id.get(request_id)) is not None:
            item.withdraw(why)

    def supersede(self, utterance_id: str, why: IntentlyError) -> int | None:
        """Withdraws those revisions of an utterance that the engine was not given yet.

        Returns the place in the queue of one that waits there; None if none does.
        """
        place = None
        for item in self._by_utterance.get(utterance_id, ()):
            if not item.started and not item.answer.done():
                place = item.stages.place_in_queue
                item.withdraw(why)
        return place

    def withdraw_all(self, why: IntentlyError) -> None:
        """Withdraws every item."""
        for item in self:
            item.withdraw(why)
