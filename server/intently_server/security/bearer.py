"""Lets calls through that carry a bearer token of the token file."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from intently_server.errors import InvalidToken, MissingToken
from intently_server.observer import Metadata, Observer
from intently_server.security.refusal import UNKNOWN_METHOD, exempt, refusing
from intently_server.security.reloading import Reloading
from intently_server.security.tokens import Tokens
from intently_server.servicer.call import AUTHENTICATED

_SCHEME = "bearer "


class BearerTokens(grpc.aio.ServerInterceptor):
    """Asks every call, and every stream as it opens, for a token: metadata `authorization: Bearer TOKEN`.

    Whose it is, is who calls.

    Args:
        tokens: Those that are good at the moment.
        observer: Told of calls that are refused.
    """

    def __init__(self, tokens: Reloading[Tokens], observer: Observer) -> None:
        self._tokens = tokens
        self._observer = observer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """See grpc.aio."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        if exempt(method):
            return handler
        # A stranger may ask for methods without end: whoever counts calls by their names is told of ours alone.
        name = method if handler else UNKNOWN_METHOD
        try:
            AUTHENTICATED.set(self._owner(handler_call_details.invocation_metadata or ()))
        except MissingToken as error:
            return refusing(name, self._observer, error, (("www-authenticate", "Bearer"),))
        except InvalidToken as error:
            challenge = (("www-authenticate", 'Bearer error="invalid_token"'),)  # RFC 6750, section 3.1
            return refusing(name, self._observer, error, challenge)
        return handler

    def _owner(self, metadata: Metadata) -> str:
        sent = [str(value) for key, value in metadata if key == "authorization"]
        if not sent:
            raise MissingToken("this server wants the metadata authorization: Bearer TOKEN")
        credentials = sent[0]
        if len(sent) > 1 or not credentials.lower().startswith(_SCHEME):
            raise InvalidToken("the metadata authorization must be one value: Bearer TOKEN")
        owner = self._tokens.current.name_of(credentials[len(_SCHEME) :].strip())
        if owner is None:
            raise InvalidToken("the token is not one that this server knows, or no longer")
        return owner
