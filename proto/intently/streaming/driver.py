"""Drives a stream's ledger: lets items in, hands results out, keeps deadlines, and opens links as they are wanted."""

import asyncio
from collections import deque

import grpc

from intently.errors import DeadlineExceededError, IntentlyError
from intently.streaming.changes import Changes
from intently.streaming.connection import Connection, Opening
from intently.streaming.item import Item, Result
from intently.streaming.ledger import Ledger
from intently.streaming.verdicts import not_taken
from intently.v1 import intent_service_pb2 as pb

_GOODBYE_S = 1.0  # for a server to end its side of a stream on which all was answered

Caller = asyncio.Future[Result]


class Driver:
    """Runs one stream from `open` to `close`.

    Args:
        opening: How links are opened.
        ledger: What is owed, and what is to be sent.
    """

    def __init__(self, opening: Opening, ledger: Ledger) -> None:
        self._opening = opening
        self._ledger = ledger
        self._changes = Changes()
        self._senders = asyncio.Lock()  # those whose results are taken by `next` are let in one by one, in their order
        self._entry = asyncio.Lock()  # and so are all
        self._results: deque[Item] = deque()  # not taken yet
        self._taken_at = float("-inf")  # when the last one was
        self._callers: dict[Item, Caller] = {}  # who wait for a result of their own
        self._deadlines: dict[Item, asyncio.TimerHandle] = {}
        self._running: asyncio.Task[None] | None = None
        self._done = False
        self._closed = False

    async def open(self, timeout_s: float) -> None:
        """Returns once a server has opened the first link.

        Raises:
            IntentlyError: if none does in time, or the stream can never be opened; then it is closed.
        """
        self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(timeout_s):
                while not self._ledger.connected and self._ledger.failure is None:
                    await self._changes.wait()
        except TimeoutError:
            no_answer = DeadlineExceededError(grpc.StatusCode.DEADLINE_EXCEEDED, "no server opened the stream in time")
            self._ledger.fail(self._ledger.setback or no_answer)
        if self._ledger.failure is not None:
            raise self._ledger.failure

    async def send(self, message: pb.ClassifyItem, timeout_s: float) -> Item:
        """Accepts an item, once there is room for it and for its result, which `next` will give.

        Args:
            message: The item.
            timeout_s: Its deadline, from its acceptance; and how long to wait while nobody takes a result.

        Raises:
            ValueError: if the id is that of an item that was not taken, or the stream was done.
            IntentlyError: if the stream has ended, or results are not being taken.
        """
        began = self._now()
        async with self._senders:
            while self._ledger.crowded and not self._over:
                left_s = max(began, self._taken_at) + timeout_s - self._now()
                if left_s <= 0.0:
                    raise not_taken()
                await self._changes.wait(left_s)
            return await self._enter(message, timeout_s, None)

    async def classify(self, message: pb.ClassifyItem, timeout_s: float) -> Result:
        """Accepts an item as `send` does, and returns its result. The item is taken back if the task is cancelled."""
        caller: Caller = asyncio.get_running_loop().create_future()
        item = await self._enter(message, timeout_s, caller)
        try:
            return await caller
        except asyncio.CancelledError:
            self.cancel(item.request_id)
            raise

    async def next(self) -> Item | None:
        """The next item with a result; None after `done`, once all is answered, or after `close`.

        Raises:
            IntentlyError: what ended the stream, after the last result.
        """
        while not self._results:
            if self._closed or (self._done and self._ledger.finished and self._ledger.failure is None):
                return None
            if self._ledger.failure is not None:
                raise self._ledger.failure
            await self._changes.wait()
        item = self._results.popleft()
        self._taken_at = self._now()
        self._ledger.taken(item)
        self._changes.notify()
        return item

    def cancel(self, request_id: str) -> None:
        """Takes an item back."""
        self._ledger.cancel(request_id)
        self._changed()

    def reset_context(self) -> None:
        """Forgets the accumulated context."""
        self._ledger.reset_context()

    def done(self) -> None:
        """Nothing more will be sent."""
        self._done = True
        self._ledger.finish()
        self._changed()

    async def close(self, error: IntentlyError) -> None:
        """Ends the stream at once; what is under way gets this error. It may have been closed before."""
        in_order = self._ledger.finished and self._ledger.failure is None
        self._closed = True
        self._ledger.fail(error)
        self._changed()
        if self._running is None:
            return
        if in_order:
            await asyncio.wait([self._running], timeout=_GOODBYE_S)
        self._running.cancel()
        await asyncio.wait([self._running])

    async def _enter(self, message: pb.ClassifyItem, timeout_s: float, caller: Caller | None) -> Item:
        async with self._entry:
            while not self._ledger.has_room and not self._over:
                await self._changes.wait()
            if self._ledger.failure is not None:
                raise self._ledger.failure
            if self._over:
                raise ValueError("the stream was done: it takes no more items")
            deadline = self._now() + timeout_s
            item = self._ledger.accept(message, deadline)
        if caller is not None:
            self._callers[item] = caller
        self._deadlines[item] = asyncio.get_running_loop().call_at(deadline, self._expire, item)
        self._changed()
        return item

    @property
    def _over(self) -> bool:
        return self._done or self._closed or self._ledger.failure is not None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _expire(self, item: Item) -> None:
        self._ledger.expire(item)
        self._changed()

    def _changed(self) -> None:
        """Hands out results, and wakes whoever may have something to do."""
        for item in self._ledger.results():
            self._deadlines.pop(item).cancel()
            caller = self._callers.pop(item, None)
            if caller is None:
                self._results.append(item)
                continue
            self._ledger.taken(item)
            if not caller.done() and item.result is not None:
                caller.set_result(item.result)
        self._changes.notify()

    async def _run(self) -> None:
        """Opens links as they are wanted, until the stream is over."""
        try:
            async with asyncio.TaskGroup() as links:
                while not self._ledger.finished:
                    open_at = self._ledger.wants_link_at()
                    if open_at is None or open_at > self._now():
                        await self._changes.wait(None if open_at is None else open_at - self._now())
                        continue
                    connection = Connection(self._opening, self._ledger, self._changed, self._changes)
                    links.create_task(connection.run(self._ledger.open_link()))
        except Exception as error:
            fault = IntentlyError(grpc.StatusCode.INTERNAL, "a fault of the client library")
            fault.__cause__ = error  # whoever is told sees where; `close` does not fail for it
            self._ledger.fail(fault)
            self._changed()
