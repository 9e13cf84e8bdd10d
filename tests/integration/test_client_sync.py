"""The client without an event loop: calls that wait, from any thread, and what they leave behind."""

import asyncio
import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from intently import IntentClient, InvalidRequestError, Security, SyncIntentClient, UnavailableError
from intently_server.bundle import Bundle
from support.in_memory import InMemory
from support.serving import free_address

pytestmark = pytest.mark.timeout(60)


async def test_answers_are_those_of_the_asyncio_client(server: InMemory, bundle: Bundle) -> None:
    async with IntentClient(server.served.address) as client:
        expected = await client.classify("hello", top_k=2)

    def ask() -> None:
        with SyncIntentClient(server.served.address, timeout_s=5) as sync:
            assert sync.classify("hello", top_k=2).predictions == expected.predictions
            assert isinstance(sync.classify_batch(["hello", ""])[1], InvalidRequestError)
            models = sync.list_models()
            assert [model.revision for model in models] == [bundle.model.revision]
            assert tuple(intent.name for intent in sync.list_intents(models[0].name)) == bundle.model.intents
            with pytest.raises(InvalidRequestError):
                sync.classify("")

    await asyncio.to_thread(ask)


async def test_threads_share_one(server: InMemory) -> None:
    def ask_all() -> list[str]:
        with SyncIntentClient(server.served.address) as sync, ThreadPoolExecutor(8) as threads:
            answers = threads.map(lambda number: sync.classify("hello", request_id=str(number)), range(200))
            return [answer.message.request_id for answer in answers]

    assert await asyncio.to_thread(ask_all) == [str(number) for number in range(200)]


def test_closing_ends_its_thread_and_may_be_repeated() -> None:
    before = set(threading.enumerate())
    sync = SyncIntentClient(free_address())
    with pytest.raises(UnavailableError):
        sync.classify("hello")
    sync.close()
    sync.close()

    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "intently"]


def test_what_cannot_be_opened_leaves_no_thread() -> None:
    with pytest.raises(ValueError, match="TLS"):
        SyncIntentClient("intents.example:443", security=Security(tls=False, token="bearer"))  # noqa: S106  # no secret

    assert not [thread for thread in threading.enumerate() if thread.name == "intently"]


async def test_who_waits_when_it_is_closed_is_told_and_so_is_who_comes_later(server: InMemory) -> None:
    server.engine.hold()
    sync = await asyncio.to_thread(SyncIntentClient, server.served.address, timeout_s=50)
    waiting = [asyncio.create_task(asyncio.to_thread(sync.classify, "hello")) for _ in range(4)]
    await server.engine.wait_running(4)
    await asyncio.gather(*(asyncio.to_thread(sync.close) for _ in range(2)))

    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [(type(result), str(result)) for result in results] == [(UnavailableError, "the client was closed")] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "was never awaited"
        with pytest.raises(UnavailableError, match="client was closed"):
            sync.classify("hello")
        gc.collect()


async def test_a_call_that_waits_to_be_tried_again_ends_with_its_client(server: InMemory) -> None:
    async def full(_request: bytes, context: Any) -> bytes:
        refused.set()
        await context.abort(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "full", trailing_metadata=(("grpc-retry-pushback-ms", "40000"),)
        )
        return b""

    refused = asyncio.Event()
    methods: dict[str, Any] = {"Classify": grpc.unary_unary_rpc_method_handler(full)}
    refusing = grpc.aio.server()
    refusing.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("intently.v1.IntentService", methods),))
    port = refusing.add_insecure_port("127.0.0.1:0")
    await refusing.start()
    try:
        sync = await asyncio.to_thread(SyncIntentClient, f"127.0.0.1:{port}", timeout_s=50)
        waiting = asyncio.create_task(asyncio.to_thread(sync.classify, "hello"))
        await refused.wait()
        await asyncio.to_thread(sync.close)
        with pytest.raises(UnavailableError):
            await waiting
    finally:
        await refusing.stop(0)
