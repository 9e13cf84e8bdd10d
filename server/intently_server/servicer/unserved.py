"""Methods that are not served here, for those who call them all the same."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from intently_server.servicer.call import Context


class Unserved(grpc.aio.ServerInterceptor):
    """Answers UNIMPLEMENTED to methods that nobody handles. To be the first, since others ask whether anybody does.

    So does gRPC where there is no handler, but without initial metadata, and Envoy takes that for a failure of the
    server: who asked twenty times in a row would take it out.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """See grpc.aio."""
        return await continuation(handler_call_details) or grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_messages: AsyncIterator[bytes], context: Context) -> None:
    try:
        await context.send_initial_metadata(())
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not served here")
    except grpc.aio.InternalError as error:  # the caller has just gone
        raise asyncio.CancelledError from error
