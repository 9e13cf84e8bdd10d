"""What an engine core answers goes to who asked for it, and its faults end nothing but what they must.

In front of a core that answers when the test says so, by the methods and messages of vLLM's own client.
"""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm import PoolingParams
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, EngineCoreRequest, FinishReason
from vllm.v1.engine.exceptions import EngineDeadError

from intently_server.engine.engine_figures import EngineStep
from intently_server.engine.vllm_client import VllmClient
from intently_server.errors import EngineDead

pytestmark = pytest.mark.engine


class Core:
    """An engine core."""

    def __init__(self) -> None:
        self.resources = SimpleNamespace(engine_dead=False)
        self.added: list[EngineCoreRequest] = []
        self.aborted: list[str] = []
        self._told: asyncio.Queue[Any] = asyncio.Queue()
        self._came = asyncio.Semaphore(0)

    async def add_request_async(self, request: EngineCoreRequest) -> None:
        """Takes a request."""
        if self.resources.engine_dead:
            raise EngineDeadError
        self.added.append(request)
        self._came.release()

    async def abort_requests_async(self, request_ids: list[str]) -> None:
        """Gives requests up."""
        self.aborted += request_ids

    async def get_output_async(self) -> Any:
        """What the next step told."""
        told = await self._told.get()
        if isinstance(told, Exception):
            raise told
        return told

    def shutdown(self, timeout: float | None = None) -> None:  # noqa: ARG002
        """Dies."""
        self.resources.engine_dead = True

    def tell(self, *outputs: EngineCoreOutput) -> None:
        """Ends a step with these."""
        self._told.put_nowait(EngineCoreOutputs(outputs=list(outputs)))

    def fail(self, error: Any) -> None:
        """Says this instead."""
        self._told.put_nowait(error)

    async def asked(self, count: int) -> list[EngineCoreRequest]:
        """So many more requests, once they are there."""
        for _ in range(count):
            await self._came.acquire()
        return self.added


def answer(request_id: str, value: float, reason: FinishReason | None = FinishReason.STOP) -> EngineCoreOutput:
    """The logits of a request."""
    return EngineCoreOutput(request_id, [], pooling_output=torch.tensor([value]), finish_reason=reason)


@pytest.fixture
def core() -> Core:
    """Has nothing to do."""
    return Core()


@pytest.fixture
def steps() -> list[EngineStep]:
    """That were told of."""
    return []


@pytest.fixture
async def client(core: Core, steps: list[EngineStep]) -> AsyncIterator[VllmClient]:
    """From seat 3."""
    made = VllmClient(core, PoolingParams(task="classify"), 3, steps.append)
    yield made
    await made.shutdown(1.0)


async def test_each_gets_its_own_answer_in_whatever_order(
    client: VllmClient, core: Core, steps: list[EngineStep]
) -> None:
    asking = [asyncio.ensure_future(client.ask([number])) for number in range(3)]
    asked = await core.asked(3)
    assert len({each.request_id for each in asked}) == 3
    assert [each.prompt_token_ids for each in asked] == [[0], [1], [2]]

    core.tell(answer(asked[2].request_id, 2.0), answer(asked[0].request_id, 0.0))
    core.tell(answer(asked[1].request_id, 9.0, reason=None))  # not its last word
    core.tell(answer(asked[1].request_id, 1.0))

    assert [float(each.pooling_output) for each in await asyncio.gather(*asking)] == [0.0, 1.0, 2.0]
    assert [len(each.ended) for each in steps] == [2, 0, 1]


async def test_a_cancelled_request_is_aborted_and_its_late_answer_harms_nobody(
    client: VllmClient, core: Core, steps: list[EngineStep]
) -> None:
    given_up, kept = (asyncio.ensure_future(client.ask([number])) for number in range(2))
    first, second = await core.asked(2)
    given_up.cancel()
    core.tell(answer(first.request_id, 0.0), answer("of another life", 0.0), answer(second.request_id, 1.0))

    assert float((await kept).pooling_output) == 1.0
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert core.aborted == [first.request_id]
    assert [len(each.ended) for each in steps] == [1]


async def test_the_engines_death_ends_all_that_was_asked(client: VllmClient, core: Core) -> None:
    asking = [asyncio.ensure_future(client.ask([number])) for number in range(2)]
    await core.asked(2)
    assert client.alive
    core.fail(EngineDeadError())

    for each in asking:
        with pytest.raises(EngineDead):
            await each
    assert not client.alive
    with pytest.raises(EngineDead):
        await client.ask([2])


async def test_an_engine_that_died_and_has_not_said_so_yet_fails_what_it_is_asked(
    client: VllmClient, core: Core
) -> None:
    core.resources.engine_dead = True

    assert not client.alive
    with pytest.raises(EngineDead):
        await client.ask([0])


async def test_what_an_engine_gives_up_while_it_ends_fails_as_if_it_had_died(client: VllmClient, core: Core) -> None:
    asking = asyncio.ensure_future(client.ask([0]))
    [asked] = await core.asked(1)
    core.tell(EngineCoreOutput(asked.request_id, [], finish_reason=FinishReason.ABORT))

    with pytest.raises(EngineDead):
        await asking


async def test_an_engine_that_cannot_be_understood_counts_as_dead_and_is_logged(
    client: VllmClient, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    asking = asyncio.ensure_future(client.ask([0]))
    await core.asked(1)
    core.fail(ValueError("no message"))

    with pytest.raises(EngineDead):
        await asking
    assert [each.getMessage() for each in caplog.records] == ["what the engine says cannot be understood"]
