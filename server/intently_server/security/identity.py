"""Lets calls through whose caller showed a certificate with an identity on the allow-list."""

import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import grpc

from intently_server.errors import IdentityNotAllowed
from intently_server.observer import Observer
from intently_server.security.refusal import exempt, refuse
from intently_server.servicer.call import AUTHENTICATED


class AllowedIdentities(grpc.aio.ServerInterceptor):
    """Asks every call, and every stream as it opens, for an identity on the list. Needs mTLS.

    That is who calls, unless a token says it: a proxy shows its own certificate for all who call through it.

    Args:
        allowed: Identities as `identities_of` gives them.
        observer: Told of calls that are refused.
    """

    def __init__(self, allowed: Collection[str], observer: Observer) -> None:
        self._allowed = frozenset(allowed)
        self._observer = observer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """See grpc.aio."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        if handler is None or exempt(method):
            return handler
        return self._guarded(method, handler)

    def _guarded(self, method: str, handler: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        """The handler behind the check; who calls is known only once it runs."""

        async def unary(request: Any, context: Any) -> Any:
            await self._check(method, context)
            return await handler.unary_unary(request, context)

        async def stream(messages: Any, context: Any) -> None:
            await self._check(method, context)
            answers = handler.stream_stream(messages, context)
            if not inspect.isasyncgen(answers):
                await answers
                return
            async for answer in answers:
                await context.write(answer)

        coders = handler.request_deserializer, handler.response_serializer
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(stream, *coders)
        if handler.unary_unary is None:
            raise TypeError(f"{method} is neither unary nor bidirectional")
        return grpc.unary_unary_rpc_method_handler(unary, *coders)

    async def _check(self, method: str, context: Any) -> None:
        shown = self._allowed & identities_of(context)
        if not shown:
            error = IdentityNotAllowed("the certificate shows no identity that this server lets in")
            await refuse(method, context, self._observer, error)
        if not AUTHENTICATED.get():
            AUTHENTICATED.set(min(shown))


def identities_of(context: Any) -> set[str]:
    """Who the caller's certificate says it is: its SPIFFE ID, and "dns:" and each of its DNS names in lower case."""
    shown = context.auth_context()
    spiffe = {value.decode() for value in shown.get("peer_spiffe_id", ())}
    return spiffe | {f"dns:{value.decode().lower()}" for value in shown.get("peer_dns", ())}
