"""What a stream has to write next: answers, as they are ready or in order, and the notice of its end."""

import asyncio
from collections import deque

from intently.v1 import intent_service_pb2 as pb
from intently_server.servicer.stream.item import Answer, Item


class Outbox:
    """Holds items until their answers may be written; at most as many as the stream was granted.

    Args:
        ordered: Whether answers leave in the order of their items.
    """

    def __init__(self, *, ordered: bool) -> None:
        self._ordered = ordered
        self._items: deque[Item] = deque()
        self._notice: pb.DrainNotice | None = None
        self._finished = False
        self._changed = asyncio.Event()

    def put(self, item: Item) -> None:
        """Lets the item's answer leave in its turn."""
        if self._ordered or item.answer.done():
            self._items.append(item)
        if item.answer.done():
            self._changed.set()
        else:
            item.answer.add_done_callback(lambda answer: self._ready(item, answer))

    def announce(self, notice: pb.DrainNotice) -> None:
        """Lets this notice leave before any other answer."""
        self._notice = notice
        self._changed.set()

    def finish(self) -> None:
        """Lets `take` return None where it would wait."""
        self._finished = True
        self._changed.set()

    async def take(self) -> Item | pb.DrainNotice | None:
        """What to write next; None once the box is finished and holds nothing that is ready."""
        while True:
            if self._notice is not None:
                notice, self._notice = self._notice, None
                return notice
            if self._items and self._items[0].answer.done():
                return self._items.popleft()
            if self._finished:
                return None
            self._changed.clear()
            await self._changed.wait()

    def _ready(self, item: Item, _answer: "asyncio.Future[Answer]") -> None:
        if not self._ordered:
            self._items.append(item)
        self._changed.set()
