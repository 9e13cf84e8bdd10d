"""Turns a servicer into gRPC handlers that decode for themselves and answer every error with its status.

Decoding is ours because gRPC answers bytes that are no protobuf with UNKNOWN and logs an ERROR for a caller's mistake.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from intently.v1 import intent_service_pb2
from intently_server.admission.place import EARLY_S
from intently_server.errors import DeadlineUnmeetable, IntentlyError, InternalFault, InvalidInput
from intently_server.lifecycle import Lifecycle
from intently_server.observer import CallObserver, Metadata, Observer
from intently_server.servicer.batch_length import check_length
from intently_server.servicer.call import Call, Context, caller_of
from intently_server.servicer.fault_log import FaultLog
from intently_server.servicer.proxy_waits import ProxyWait, ProxyWaits, of_stream
from intently_server.servicer.status import abort, status_code
from intently_server.servicer.unsent import UnsentAnswers
from intently_server.servicer.wire_fault import explain
from intently_server.types import Priority

_BATCH = intent_service_pb2.DESCRIPTOR.message_types_by_name["BatchClassifyRequest"]
_PER_CALL = 8192  # bytes, about, that gRPC and Python keep of a call until its answer is sent


class Handlers:
    """Makes handlers.

    Args:
        lifecycle: Told of each call while it is under way.
        observer: Told of each call, and how it ended.
        max_priority: The highest priority that a caller may claim.
        max_batch_size: Requests in one batch at most.
        faults: Told of what nobody expected.
        unsent: Bounds the answers that callers do not read.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        observer: Observer,
        max_priority: Priority,
        max_batch_size: int,
        faults: FaultLog,
        unsent: UnsentAnswers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifecycle = lifecycle
        self._observer = observer
        self._max_priority = max_priority
        self._max_batch_size = max_batch_size
        self._faults = faults
        self._unsent = unsent
        self._clock = clock
        self._proxy_waits = ProxyWaits()

    def of(self, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        """Handlers for all methods of a service.

        Args:
            service: From the generated code.
            servicer: Has a coroutine for each method, named like it. A unary one takes the request and the `Call` and
                returns the response; a stream one takes an iterator of requests, in which an InvalidInput stands for
                a message that could not be decoded, and the `Call`, and writes its responses itself.
        """
        handlers = {method.name: self._handler(method, getattr(servicer, method.name)) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _handler(self, method: MethodDescriptor, answer: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        name = f"{method.containing_service.full_name}/{method.name}"

        async def stream(raw: AsyncIterator[bytes], context: Context) -> None:
            await self._guarded(name, context, lambda call: answer(_decoded(raw, method), call), opens_stream=True)

        async def unary(raw: bytes, context: Context) -> Any:
            async def decode_and_answer(call: Call) -> Any:
                if method.input_type is _BATCH:
                    check_length(raw, self._max_batch_size)
                request = _decode(raw, method)
                if isinstance(request, InvalidInput):
                    raise request
                encoded = _encode(await answer(request, call))
                call.unsent.add(len(encoded) + _PER_CALL)
                return encoded

            return await self._guarded(name, context, decode_and_answer)

        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, None, _encode)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _guarded(
        self, name: str, context: Context, answer: Callable[[Call], Awaitable[Any]], *, opens_stream: bool = False
    ) -> Any:
        """Runs a call, ends it with the status of whatever error it raises, and tells the observer."""
        arrived, metadata = self._clock(), context.invocation_metadata() or ()
        observer = self._observer.call(name, metadata, context.peer(), arrived)
        deadline: float | None = None
        try:
            self._lifecycle.call_began()
            # Not when the handler returns: the answer may still have to be sent, to a caller that reads slowly.
            context.add_done_callback(lambda _: self._lifecycle.call_ended())
            wait = of_stream(metadata) if opens_stream else self._proxy_wait(context, metadata)
            caller = caller_of(context, metadata, arrived, self._max_priority, wait)
            deadline = caller.deadline
            unsent = self._unsent.of(caller.flow)
            context.add_done_callback(lambda _: unsent.close())
            unsent.check()
            call = Call(context, arrived, caller, observer, unsent)
            result = await _in_time(answer(call), wait.left_s)
        except asyncio.CancelledError as error:
            if self._lifecycle.is_over:  # the server ended the call, and its caller hears that
                observer.ended(grpc.StatusCode.UNAVAILABLE.name, self._lifecycle.refusal())
            else:
                observer.ended(self._cancelled(deadline), error)
            raise
        except grpc.aio.InternalError as error:  # a write failed: the caller has just gone
            observer.ended(self._cancelled(deadline), error)
            raise asyncio.CancelledError from error
        except _OutOfTime:
            trailers = observer.trailers()
            observer.ended(grpc.StatusCode.DEADLINE_EXCEEDED.name, asyncio.CancelledError())
            return await abort(context, DeadlineUnmeetable("the deadline passed before there was an answer"), trailers)
        except Exception as error:
            return await self._fail(name, context, observer, error)
        if trailers := observer.trailers():
            context.set_trailing_metadata(tuple(trailers))
        observer.ended(grpc.StatusCode.OK.name, None)
        return result

    def _proxy_wait(self, context: Context, metadata: Metadata) -> ProxyWait:
        connection = context.peer()
        context.add_done_callback(lambda _: self._proxy_waits.end(connection))
        return self._proxy_waits.begin(connection, metadata)

    def _cancelled(self, deadline: float | None) -> str:
        """The status of a call that gRPC cancelled: its deadline passed, or the caller or the connection went away."""
        late = deadline is not None and deadline - self._clock() <= EARLY_S
        return (grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED).name

    async def _fail(self, name: str, context: Context, observer: CallObserver, error: Exception) -> None:
        if not isinstance(error, IntentlyError):
            self._faults.tell(name, error)
        told = error if isinstance(error, IntentlyError) else InternalFault()
        trailers = observer.trailers()
        observer.ended(status_code(told).name, error)
        error.__traceback__ = error.__context__ = None  # they hold the request, which nobody needs while this is sent
        await abort(context, told, trailers)


class _OutOfTime(Exception):
    """The deadline that a proxy tells of has passed. For `_guarded` alone."""


async def _in_time(answer: Awaitable[Any], left_s: float | None) -> Any:
    """Keeps the deadline that a proxy tells of, which gRPC need not know. One that has passed is refused by itself."""
    if left_s is None or left_s <= 0:
        return await answer
    try:
        async with asyncio.timeout(left_s) as limit:
            return await answer
    except TimeoutError:
        if not limit.expired():
            raise
        raise _OutOfTime from None


async def _decoded(raw: AsyncIterator[bytes], method: MethodDescriptor) -> AsyncIterator[Message | InvalidInput]:
    async for data in raw:
        yield _decode(data, method)


def _decode(data: bytes, method: MethodDescriptor) -> Message | InvalidInput:
    try:
        return GetMessageClass(method.input_type).FromString(data)
    except DecodeError:
        return explain(data, method.input_type)


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
