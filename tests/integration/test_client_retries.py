"""What the client does on top of a call: retries with a hint and a budget, hedges, metadata."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from intently import (
    Classification,
    DeadlineExceededError,
    IntentClient,
    OverloadedError,
    Priority,
    Security,
    UnavailableError,
)
from intently.retry import RetryBudget
from intently.v1 import intent_service_pb2 as pb
from support.admin_caller import admin_address, wait_sum
from support.in_memory import InMemory, StartInMemory

Script = Callable[[int, Any], Awaitable[None]]
PUSHBACK = "grpc-retry-pushback-ms"


class Scripted:
    """A server whose Classify runs a script, which may abort or wait, before it answers.

    Args:
        script: Called with the number of the call, from 1, and its context.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.calls: list[pb.ClassifyRequest] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.times: list[float] = []
        self.cancelled = 0

    async def _classify(self, request: pb.ClassifyRequest, context: Any) -> pb.ClassifyResponse:
        self.calls.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.times.append(time.monotonic())
        number = len(self.calls)
        try:
            await self._script(number, context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return pb.ClassifyResponse(outcome=pb.OUTCOME_AMBIGUOUS, input_tokens=number)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serves; gives the address."""
        method: Any = grpc.unary_unary_rpc_method_handler(
            self._classify,
            request_deserializer=pb.ClassifyRequest.FromString,
            response_serializer=pb.ClassifyResponse.SerializeToString,
        )
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("intently.v1.IntentService", {"Classify": method}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)


def full(until: int, **trailers: str) -> Script:
    """Refuses the calls before number `until` as a full server does."""

    async def script(number: int, context: Any) -> None:
        if number < until:
            metadata = tuple((key.replace("_", "-"), value) for key, value in trailers.items())
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", trailing_metadata=metadata)

    return script


async def test_a_full_server_that_says_when_is_asked_again_then() -> None:
    scripted = Scripted(full(until=3, grpc_retry_pushback_ms="60"))
    async with scripted.running() as address, IntentClient(address) as client:
        answer = await client.classify("hello")

    assert answer.message.input_tokens == 3
    assert all(later - earlier >= 0.06 for earlier, later in zip(scripted.times, scripted.times[1:], strict=False))


@pytest.mark.parametrize("pushback", [{}, {PUSHBACK.replace("-", "_"): "-1"}])
async def test_a_full_server_that_does_not_say_when_is_left_alone(pushback: dict[str, str]) -> None:
    scripted = Scripted(full(until=3, **pushback))
    async with scripted.running() as address, IntentClient(address) as client:
        with pytest.raises(OverloadedError) as refused:
            await client.classify("hello")

    assert len(scripted.calls) == 1
    assert refused.value.retry_after_s is None


async def test_a_hint_beyond_the_deadline_is_told_at_once() -> None:
    scripted = Scripted(full(until=3, grpc_retry_pushback_ms="5000"))
    async with scripted.running() as address, IntentClient(address, timeout_s=2) as client:
        with pytest.raises(OverloadedError) as refused:
            await client.classify("hello")

    assert len(scripted.calls) == 1
    assert refused.value.retry_after_s == 5.0


async def test_the_server_s_own_hint_is_heeded(
    start_in_memory: StartInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take longer to tell of the refusal than four attempts last: of a server that knows no rate yet,
    # they are 10 ms apart.
    monkeypatch.setattr("intently.retry.MAX_ATTEMPTS", 10)
    ready_file = tmp_path / "ready.json"
    server = await start_in_memory(max_in_flight=1, ready_file=ready_file)
    server.engine.hold()
    async with IntentClient(server.served.address) as client:
        first = asyncio.ensure_future(client.classify("first"))
        await server.engine.wait_running(1)
        second = asyncio.ensure_future(client.classify("second"))
        await wait_sum(
            admin_address(ready_file), 1, "intently_server_calls_total", rpc_response_status_code="RESOURCE_EXHAUSTED"
        )
        server.engine.release()

        assert isinstance(await first, Classification)
        assert isinstance(await second, Classification)


def cancelled(until: int) -> Script:
    """Ends the calls before number `until` as gRPC does with those that it sheds before anybody has begun them."""

    async def script(number: int, context: Any) -> None:
        if number < until:
            await context.abort(grpc.StatusCode.CANCELLED, "")

    return script


@pytest.mark.parametrize("until", [2, 3])
async def test_a_call_that_the_server_s_side_cancelled_comes_again(until: int) -> None:
    scripted = Scripted(cancelled(until))
    async with scripted.running() as address, IntentClient(address) as client:
        answer = await client.classify("hello")

    assert answer.message.input_tokens == until


async def test_a_server_that_cancels_every_call_is_unavailable_and_left_alone() -> None:
    scripted = Scripted(cancelled(until=10_000))
    async with scripted.running() as address, IntentClient(address) as client:
        for _ in range(6):
            with pytest.raises(UnavailableError) as shed:
                await client.classify("hello")

    assert shed.value.code is grpc.StatusCode.CANCELLED
    assert len(scripted.calls) == 6 + 10  # every call once, two retries each, and no more than the full bucket held


async def test_a_cancelled_call_does_not_come_again_after_its_deadline() -> None:
    scripted = Scripted(cancelled(until=3))
    async with scripted.running() as address, IntentClient(address) as client:
        with pytest.raises((UnavailableError, DeadlineExceededError)):
            await client.classify("hello", timeout_s=0.04)

    assert len(scripted.calls) <= 1


async def test_a_call_that_its_caller_cancels_is_not_tried_again() -> None:
    scripted = Scripted(slow(1))
    async with scripted.running() as address, IntentClient(address) as client:
        waiting = asyncio.create_task(client.classify("hello"))
        while not scripted.calls:  # noqa: ASYNC110  # a script tells nobody
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await client.classify("hello")

    assert len(scripted.calls) == 2


@pytest.mark.parametrize("hedge_after_s", [None, 0.01])
async def test_a_call_under_way_when_the_client_is_closed_is_told(hedge_after_s: float | None) -> None:
    scripted = Scripted(slow(1, 2))
    async with scripted.running() as address:
        client = IntentClient(address, hedge_after_s=hedge_after_s)
        waiting = asyncio.create_task(client.classify("hello"))
        while len(scripted.calls) < (1 if hedge_after_s is None else 2):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await client.close()
        for call in (waiting, client.classify("later"), client.list_models()):
            with pytest.raises(UnavailableError, match="client was closed"):
                await call


async def test_the_budget_ends_retries() -> None:
    scripted = Scripted(full(until=10_000, grpc_retry_pushback_ms="1"))
    async with scripted.running() as address, IntentClient(address) as client:
        for _ in range(20):
            with pytest.raises(OverloadedError):
                await client.classify("hello")

    assert len(scripted.calls) == 20 + 10  # every call once, and what the full bucket held


def test_answers_fill_the_budget_up_to_its_brim() -> None:
    budget = RetryBudget(tokens=2, per_answer=0.5)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.spend()
    for _ in range(100):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def slow(*numbers: int) -> Script:
    """Never answers the calls of these numbers."""

    async def script(number: int, _context: Any) -> None:
        if number in numbers:
            await asyncio.Event().wait()

    return script


async def test_a_hedge_wins_over_a_call_that_hangs() -> None:
    scripted = Scripted(slow(1))
    async with scripted.running() as address, IntentClient(address, hedge_after_s=0.05) as client:
        answer = await client.classify("hello", request_id="a")
        while not scripted.cancelled:  # noqa: ASYNC110  # the loser hears of it a moment later
            await asyncio.sleep(0.005)

    assert answer.message.input_tokens == 2
    assert [call.request_id for call in scripted.calls] == ["a", "a"]


async def test_a_quick_answer_needs_no_hedge() -> None:
    scripted = Scripted(slow())
    async with scripted.running() as address, IntentClient(address, hedge_after_s=5) as client:
        await client.classify("hello")

    assert len(scripted.calls) == 1


async def test_the_first_call_may_win_after_all() -> None:
    async def script(number: int, context: Any) -> None:
        if number == 1:
            while len(scripted.calls) < 2:  # noqa: ASYNC110  # until the hedge is there
                await asyncio.sleep(0.005)
        else:
            await context.abort(grpc.StatusCode.INTERNAL, "broken")

    scripted = Scripted(script)
    async with scripted.running() as address, IntentClient(address, hedge_after_s=0.05) as client:
        answer = await client.classify("hello")

    assert answer.message.input_tokens == 1


async def test_hedges_end_with_the_budget_and_with_the_deadline() -> None:
    scripted = Scripted(slow(*range(1, 1000)))
    async with scripted.running() as address, IntentClient(address, hedge_after_s=0.001) as client:
        for _ in range(12):
            with pytest.raises(DeadlineExceededError):
                await client.classify("hello", timeout_s=0.05)

    assert len(scripted.calls) == 12 + 10


async def test_priority_token_and_revision_travel_as_metadata() -> None:
    scripted = Scripted(slow())
    security = Security(tls=False, token="bearer-of-the-test")  # noqa: S106  # no secret
    async with (
        scripted.running() as address,
        IntentClient(address, security=security, priority=Priority.LOW) as client,
    ):
        await client.classify("hello")
        await client.classify("hello", priority=Priority.HIGH, revision="abc")

    wanted = ("authorization", "x-intently-priority", "x-intently-revision")
    assert [[sent.get(key) for key in wanted] for sent in scripted.metadata] == [
        ["Bearer bearer-of-the-test", "low", None],
        ["Bearer bearer-of-the-test", "high", "abc"],
    ]


async def test_a_priority_is_understood_by_the_server(server: InMemory) -> None:
    async with IntentClient(server.served.address, priority=Priority.HIGH) as client:
        assert await client.classify("hello")
        assert isinstance((await client.classify_batch(["hello"], priority=Priority.LOW))[0], Classification)
