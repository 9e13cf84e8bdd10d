"""The client for programs without an event loop: an `IntentClient` on a loop in a thread of its own."""

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from intently.client import IntentClient
from intently.errors import client_closed

P = ParamSpec("P")
R = TypeVar("R")


def _blocking(
    method: Callable[Concatenate[IntentClient, P], Coroutine[Any, Any, R]],
) -> "Callable[Concatenate[SyncIntentClient, P], R]":
    """The same method, which returns when the answer is there."""

    def call(self: "SyncIntentClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait_for(lambda: method(self._client, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


class SyncIntentClient:
    """Calls an Intently server and waits. Use it as a context manager; any number of threads may share one.

    Args:
        options: Those of `IntentClient`.

    Every method raises what that of `IntentClient` raises; after `close` an UnavailableError. Streams need an event
    loop: see `IntentClient.stream`.
    """

    def __init__(self, address: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="intently", daemon=True)
        self._thread.start()
        self._lock = threading.Lock()  # a call begins before the end, or not at all
        self._closed = False
        try:
            self._client = self._wait_for(lambda: _made(address, options))
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
        """Closes the channel and ends the thread; who waits for an answer gets an UnavailableError."""
        with self._lock:
            closed_before, self._closed = self._closed, True
        if closed_before:
            self._thread.join()
            return
        try:
            asyncio.run_coroutine_threadsafe(_close(self._client), self._loop).result()
        finally:
            self._stop()

    def _wait_for(self, begin: Callable[[], Coroutine[Any, Any, R]]) -> R:
        with self._lock:
            if self._closed:
                raise client_closed()
            waiting = asyncio.run_coroutine_threadsafe(begin(), self._loop)
        try:
            return waiting.result()
        except concurrent.futures.CancelledError:
            raise client_closed() from None
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


async def _close(client: IntentClient) -> None:
    """Closes the client of the loop that this runs on, and ends what still waits for it."""
    await client.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
