"""The client without an event loop: calls that wait, from any thread, and what they leave behind."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

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
