"""The client for programs without an event loop: an `IntentClient` on a loop in a thread of its own."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from intently.client import IntentClient

P = ParamSpec("P")
R = TypeVar("R")


def _blocking(
    method: Callable[Concatenate[IntentClient, P], Coroutine[Any, Any, R]],
) -> "Callable[Concatenate[SyncIntentClient, P], R]":
    """The same method, which returns when the answer is there."""

    def call(self: "SyncIntentClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait_for(method(self._client, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


class SyncIntentClient:
    """Calls an Intently server and waits. Use it as a context manager; any number of threads may share one.

    Args:
        options: Those of `IntentClient`.

    Every method raises what that of `IntentClient` raises. Streams need an event loop: see `IntentClient.stream`.
    """

    def __init__(self, address: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="intently", daemon=True)
        self._thread.start()
        try:
            self._client = self._wait_for(_made(address, options))
        except BaseException:
            self._stop()
            raise

    classify = _blocking(IntentClient.classify)
    classify_batch = _blocking(IntentClient.classify_batch)
    list_models = _blocking(IntentClient.list_models)
    list_intents = _blocking(IntentClient.list_intents)

    def __enter__(self) -> "SyncIntentClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel and ends the thread."""
        if self._loop.is_closed():
            return
        self._wait_for(self._client.close())
        self._stop()

    def _wait_for(self, coroutine: Coroutine[Any, Any, R]) -> R:
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return waiting.result()
        except BaseException:  # an interrupt, too, ends the call
            waiting.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _made(address: str, options: dict[str, Any]) -> IntentClient:
    """A client of the loop that this runs on."""
    return IntentClient(address, **options)
