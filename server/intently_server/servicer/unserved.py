"""Methods that are not served here, for those who call them all the same."""

from collections.abc import AsyncIterator

import grpc

from intently_server.servicer.call import Context


class Unserved(grpc.GenericRpcHandler):
    """Answers UNIMPLEMENTED to every method. To be added after all other handlers.

    So does gRPC where there is no handler, but without initial metadata, and Envoy takes that for a failure of the
    server: who asked twenty times in a row would take it out.
    """

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":  # noqa: ARG002
        """See `grpc.GenericRpcHandler`."""
        return grpc.stream_stream_rpc_method_handler(_refuse)


async def _refuse(_messages: AsyncIterator[bytes], context: Context) -> None:
    await context.send_initial_metadata(())
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this method is not served here")
