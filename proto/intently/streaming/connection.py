"""One ClassifyStream call: writes what the ledger has to send, and tells it what the server says."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from intently.answers import Classification
from intently.errors import IntentlyError, UnavailableError, client_closed, from_rpc_error, from_status
from intently.streaming.changes import Changes
from intently.streaming.ledger import Ledger
from intently.streaming.link import Close, Forget, Link, Message, Send, TakeBack
from intently.v1 import intent_service_pb2 as pb

_OPENING_S = 10.0  # for the server's first message
_LINGER_S = 5.0  # for a server to end a stream after the grace that it named

Call = Any  # grpc.aio.StreamStreamCall, whose type parameters say nothing here


@dataclass(frozen=True, slots=True)
class Opening:
    """How calls are opened.

    Attributes:
        call: Begins a ClassifyStream.
        config: Its first message, without the context.
        turns: How many turns of context the server keeps.
    """

    call: Callable[[], Call]
    config: pb.StreamConfig
    turns: Callable[[], Awaitable[int]]


class Connection:
    """Runs one link from its opening to its end.

    Args:
        opening: How.
        ledger: What there is to send, and who hears what comes.
        changed: Called after the ledger was told something.
        changes: Wakes the writer.
    """

    def __init__(self, opening: Opening, ledger: Ledger, changed: Callable[[], None], changes: Changes) -> None:
        self._opening = opening
        self._ledger = ledger
        self._changed = changed
        self._changes = changes
        self._now = asyncio.get_running_loop().time

    async def run(self, link: Link) -> None:
        """Returns when the call is over."""
        try:
            call = self._opening.call()
        except grpc.aio.UsageError:  # the channel is closed
            self._ledger.fail(client_closed())
            self._changed()
            return
        error: IntentlyError | None = None
        writer: asyncio.Task[None] | None = None
        try:
            await self._open(call, link)
            writer = asyncio.create_task(self._write(call, link))
            while (message := await call.read()) is not grpc.aio.EOF:
                self._take(call, link, message)
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
        except IntentlyError as failure:
            error = failure
        except TimeoutError:
            error = UnavailableError(grpc.StatusCode.UNAVAILABLE, "the server did not open the stream in time")
        except asyncio.CancelledError:
            if not call.cancelled() or _task_is_cancelled():
                raise
            error = UnavailableError(grpc.StatusCode.UNAVAILABLE, "the stream did not end within its grace")
        finally:
            call.cancel()
            if writer is not None:
                writer.cancel()
        self._end(link, error)

    def _end(self, link: Link, error: IntentlyError | None) -> None:
        self._ledger.ended(link, error, self._now())
        self._changed()

    async def _open(self, call: Call, link: Link) -> None:
        async with asyncio.timeout(_OPENING_S):
            config = pb.StreamConfig()
            config.CopyFrom(self._opening.config)
            if config.accumulate_context:
                turns = await self._opening.turns()
                config.initial_context.extend(turn.to_message() for turn in self._ledger.context_for(link, turns))
            await self._send(call, pb.ClassifyStreamRequest(config=config))
            message = await call.read()
        if message is grpc.aio.EOF or not message.HasField("ready"):
            raise UnavailableError(grpc.StatusCode.UNAVAILABLE, "the server ended the stream before it began")
        self._ledger.opened(link, message.ready.max_in_flight, self._now())
        self._changed()

    def _take(self, call: Call, link: Link, message: pb.ClassifyStreamResponse) -> None:
        match message.WhichOneof("message"):
            case "response":
                answer = Classification.from_message(message.response)
                self._ledger.responded(link, message.response.request_id, answer)
            case "error":
                error = from_status(message.error.status)
                self._ledger.refused(link, message.error.request_id, error, self._now())
            case "drain":
                self._ledger.leave(link, self._now())
                grace_s = message.drain.grace.ToNanoseconds() / 1e9
                asyncio.get_running_loop().call_later(grace_s + _LINGER_S, call.cancel)
            case _:
                return  # of a later version
        self._changed()

    async def _write(self, call: Call, link: Link) -> None:
        """Writes until there is nothing more to write, or the call is over: its reader knows why."""
        while not call.done():
            now = self._now()
            message = self._ledger.next_message(link, now)
            if message is None:
                due = self._ledger.due_at(now)
                await self._changes.wait(None if due is None else due - now)
            elif isinstance(message, Close):
                with contextlib.suppress(grpc.aio.InternalError):  # it has just ended: its reader knows why
                    await call.done_writing()
                self._changed()
                return
            elif not await self._send(call, _encode(message)):
                return

    async def _send(self, call: Call, message: pb.ClassifyStreamRequest) -> bool:
        """Whether the call took the message. One that has ended does not, in several ways, and its status says why."""
        try:
            await call.write(message)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return False
        return True


def _encode(message: Message) -> pb.ClassifyStreamRequest:
    match message:
        case Send(item):
            return pb.ClassifyStreamRequest(item=item.message)
        case TakeBack(request_id):
            return pb.ClassifyStreamRequest(cancel=pb.CancelItem(request_id=request_id))
        case Forget():
            return pb.ClassifyStreamRequest(reset_context=pb.ResetContext())
        case Close():
            raise ValueError("a half-close is no message")


def _task_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
