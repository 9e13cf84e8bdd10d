"""`client.stream()` while servers drain, die and restart and connections break: each answer once, context replayed."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from intently import (
    Classification,
    ClassifyStream,
    IntentClient,
    IntentlyError,
    ModelNotServedError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
)
from intently.v1 import model_service_pb2
from intently_server.bundle import Bundle
from intently_server.types import Role, Turn
from support.admin_caller import admin_address, wait_sum
from support.in_memory import InMemory, StartInMemory
from support.in_memory_server import InMemoryServer, in_memory_server
from support.serving import free_address
from support.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from support.memory_engine import MemoryEngine

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """A proxy that leads nowhere yet."""
    async with TcpProxy("").running() as running:
        yield running


@pytest.fixture
async def behind(proxy: TcpProxy, start_in_memory: StartInMemory) -> Callable[..., Awaitable[InMemory]]:
    """Starts a server, to which the proxy leads from then on."""

    async def start(**settings: object) -> InMemory:
        server = await start_in_memory(**settings)
        proxy.target = server.served.address
        return server

    return start


@pytest.fixture
def ready_file(tmp_path: Path) -> Path:
    """Where a server writes its addresses."""
    return tmp_path / "ready.json"


CLASSIFY_STREAM = "intently.v1.IntentService/ClassifyStream"
Behind = Callable[..., Awaitable[InMemory]]


def prompt_of(bundle: Bundle, text: str, *said: str) -> tuple[int, ...]:
    """The ids of a prompt after these turns of the user."""
    return tuple(bundle.encoder.encode(text, [Turn(Role.USER, each) for each in said]).token_ids)


async def wait_prompts(engine: "MemoryEngine", count: int) -> None:
    """Returns once so many prompts have come; a test's own timeout bounds the wait."""
    while len(engine.prompts) < count:  # noqa: ASYNC110  # an engine tells nobody, it has to be asked
        await asyncio.sleep(0.005)


async def wait_refused(ready_file: Path) -> None:
    """Returns once the server with this ready file has refused an utterance."""
    await wait_sum(admin_address(ready_file), 1, "intently_server_utterances_total", intently_outcome="error")


async def wait_calls(ready_file: Path, method: str, count: int) -> None:
    """Returns once so many calls of a method have ended."""
    await wait_sum(admin_address(ready_file), count, "intently_server_calls_total", rpc_method=method)


async def wait_draining(server: InMemory) -> None:
    """Tells a server to stop, and returns once it refuses what is new."""
    server.served.stop.set()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _ask_until_it_fails(server)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def _ask_until_it_fails(server: InMemory) -> None:
    while True:
        await server.served.models.ListModels(model_service_pb2.ListModelsRequest())


def wait_busy(server: InMemoryServer) -> None:
    """Returns once prompts are inside a server's engine."""
    while server.inside().engine == 0:
        pass


async def collect(stream: ClassifyStream, sent: list[str]) -> None:
    """Takes all answers; fails unless each item has exactly one, and a good one."""
    await stream.done()
    answers = [answer async for answer in stream]
    assert Counter(answer.request_id for answer in answers) == Counter(sent)
    assert [answer.result for answer in answers if isinstance(answer.result, IntentlyError)] == []


async def test_a_cut_connection_loses_and_doubles_nothing(proxy: TcpProxy, behind: Behind) -> None:
    server = await behind()
    server.engine.hold()
    async with IntentClient(proxy.address) as client, client.stream() as stream:
        sent = [await stream.send(f"text {number}") for number in range(20)]
        await server.engine.wait_running(20)
        proxy.cut()
        await wait_prompts(server.engine, 40)  # all of them again, on the next connection
        server.engine.release()
        await collect(stream, sent)


async def test_many_cuts_under_way_lose_and_double_nothing(proxy: TcpProxy, behind: Behind) -> None:
    await behind()

    async def cut_often() -> None:
        while True:
            await asyncio.sleep(0.05)
            proxy.cut()

    async with IntentClient(proxy.address) as client, client.stream(max_in_flight=16) as stream:
        cutting = asyncio.create_task(cut_often())
        answers = await asyncio.gather(*(stream.classify(f"text {number}", top_k=1) for number in range(2000)))
        cutting.cancel()
        unary = [await client.classify(f"text {number}", top_k=1) for number in range(0, 2000, 100)]

    assert proxy.connections > 2
    assert [answer.predictions for answer in answers[::100]] == [answer.predictions for answer in unary]


async def test_a_half_open_connection_is_noticed_by_keepalive(proxy: TcpProxy, behind: Behind) -> None:
    server = await behind()
    server.engine.hold()
    async with IntentClient(proxy.address, keepalive_s=1) as client, client.stream() as stream:
        sent = [await stream.send(f"text {number}") for number in range(5)]
        await server.engine.wait_running(5)
        proxy.freeze()
        server.engine.release()
        await server.engine.wait_running(0)  # the answers do not get through, and nobody is told
        while proxy.frozen_out == 0:  # noqa: ASYNC110  # the client has given the connection up
            await asyncio.sleep(0.02)
        proxy.cut()
        proxy.thaw()
        await collect(stream, sent)


async def test_a_drained_server_finishes_what_it_has_and_the_next_gets_the_rest(
    proxy: TcpProxy, behind: Behind
) -> None:
    first = await behind()
    first.engine.hold()
    async with IntentClient(proxy.address) as client, client.stream() as stream:
        sent = [await stream.send(f"old {number}") for number in range(5)]
        await first.engine.wait_running(5)
        second = await behind()
        await wait_draining(first)
        sent += [await stream.send(f"new {number}") for number in range(5)]
        first.engine.release()
        await collect(stream, sent)

    assert await first.served.exit_code == 0
    assert len(first.engine.prompts) == 5
    assert len(second.engine.prompts) == 5


async def test_items_flow_on_while_servers_come_and_go(proxy: TcpProxy, behind: Behind) -> None:
    server = await behind()
    async with IntentClient(proxy.address) as client, client.stream(max_in_flight=8) as stream:
        stop_asking = asyncio.Event()
        done = asyncio.gather(*(_keep_asking(stream, number, stop_asking) for number in range(8)))
        for _ in range(3):
            await wait_prompts(server.engine, 50)
            following = await behind()
            server.served.stop.set()
            assert await server.served.exit_code == 0
            server = following
        await wait_prompts(server.engine, 50)
        stop_asking.set()
        counts = await done

    assert all(count > 0 for count in counts)


async def _keep_asking(stream: ClassifyStream, caller: int, stop: asyncio.Event) -> int:
    count = 0
    while not stop.is_set():
        assert isinstance(await stream.classify(f"caller {caller} asks {count}"), Classification)
        count += 1
    return count


async def test_a_killed_server_that_restarts_at_its_address_loses_nothing(tmp_path: Path) -> None:
    address = free_address()
    with in_memory_server(tmp_path, "--address", address) as first:
        async with IntentClient(address) as client, client.stream(timeout_s=40) as stream:
            await stream.classify("hello")
            done = asyncio.gather(*(stream.classify(f"text {number}", top_k=1) for number in range(3000)))
            await asyncio.to_thread(wait_busy, first)
            first.process.kill()
            first.process.wait()
            assert not done.done()
            starting = await asyncio.to_thread(_enter, in_memory_server(tmp_path, "--address", address, name="second"))
            answers = await done
            unary = [await client.classify(f"text {number}", top_k=1) for number in range(0, 3000, 100)]
    await asyncio.to_thread(starting.close)

    assert [answer.predictions for answer in answers[::100]] == [answer.predictions for answer in unary]


def _enter(manager: contextlib.AbstractContextManager[object]) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(manager)
    return stack


async def test_the_engine_s_death_sends_items_to_the_next_server(proxy: TcpProxy, behind: Behind) -> None:
    first = await behind()
    first.engine.hold()
    async with IntentClient(proxy.address) as client, client.stream() as stream:
        sent = [await stream.send(f"text {number}") for number in range(5)]
        await first.engine.wait_running(5)
        second = await behind()
        first.engine.die()
        await collect(stream, sent)

    assert len(second.engine.prompts) == 5
    assert await first.served.exit_code == 1


async def test_a_stream_that_is_too_old_goes_on_as_another(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(stream_max_age=0.2)
    async with IntentClient(server.served.address) as client, client.stream(max_in_flight=4) as stream:
        give_up = asyncio.get_running_loop().time() + 1.5
        answered = 0
        while asyncio.get_running_loop().time() < give_up:
            answers = await asyncio.gather(*(stream.classify(f"text {answered + each}") for each in range(4)))
            answered += len(answers)

    assert len(server.engine.prompts) == answered  # nothing was sent twice either


async def test_an_idle_stream_outlives_its_age_too(start_in_memory: StartInMemory, ready_file: Path) -> None:
    server = await start_in_memory(stream_max_age=0.1, ready_file=ready_file)
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        await wait_calls(ready_file, CLASSIFY_STREAM, 2)  # the third is open, or about to be
        assert await stream.classify("hello")


@pytest.mark.parametrize("turns", [2, 16])
async def test_an_accumulated_context_is_replayed(
    proxy: TcpProxy, behind: Behind, start_in_memory: StartInMemory, bundle: Bundle, turns: int
) -> None:
    texts = [f"text {number}" for number in range(12)]
    undisturbed = await start_in_memory(max_context_turns=turns)
    async with IntentClient(undisturbed.served.address) as client, client.stream(accumulate_context=True) as stream:
        for text in texts:
            await stream.classify(text)

    servers: list[MemoryEngine] = []
    async with IntentClient(proxy.address) as client:
        servers.append((await behind(max_context_turns=turns)).engine)
        async with client.stream(accumulate_context=True) as stream:
            for number, text in enumerate(texts):
                if number == 3:
                    proxy.cut()
                if number == 6:
                    servers.append((await behind(max_context_turns=turns)).engine)
                    proxy.cut()
                await stream.classify(text)

    seen = [prompt for engine in servers for prompt in engine.prompts]
    assert list(dict.fromkeys(seen)) == undisturbed.engine.prompts  # without what was sent twice


async def test_a_context_keeps_its_order_when_many_items_are_cut_off(
    proxy: TcpProxy, behind: Behind, bundle: Bundle
) -> None:
    server = await behind()
    async with IntentClient(proxy.address) as client, client.stream(accumulate_context=True) as stream:
        await stream.classify("zero")
        server.engine.hold()
        sent = [await stream.send(text) for text in ("one", "two", "three")]
        await server.engine.wait_running(1)
        proxy.cut()
        await wait_prompts(server.engine, 1 + 1 + 1)
        server.engine.release()
        await stream.done()
        answers = [answer async for answer in stream]

    assert [answer.request_id for answer in answers] == sent
    first = prompt_of(bundle, "one", "zero")
    assert server.engine.prompts == [
        prompt_of(bundle, "zero"),
        first,
        first,
        prompt_of(bundle, "two", "zero", "one"),
        prompt_of(bundle, "three", "zero", "one", "two"),
    ]


async def test_a_refusal_for_a_while_takes_no_turn_out_of_a_context(
    start_in_memory: StartInMemory, ready_file: Path, bundle: Bundle
) -> None:
    server = await start_in_memory(max_in_flight=1, ready_file=ready_file)
    async with (
        IntentClient(server.served.address) as client,
        IntentClient(server.served.address) as other,
        client.stream(accumulate_context=True) as stream,
    ):
        server.engine.hold()
        elsewhere = asyncio.create_task(other.classify("elsewhere"))
        await server.engine.wait_running(1)
        waiting = [asyncio.create_task(stream.classify(text)) for text in ("one", "two", "three")]
        await wait_refused(ready_file)
        server.engine.release()
        await asyncio.gather(elsewhere, *waiting)

    assert server.engine.prompts == [
        prompt_of(bundle, "elsewhere"),
        prompt_of(bundle, "one"),
        prompt_of(bundle, "two", "one"),
        prompt_of(bundle, "three", "one", "two"),
    ]


async def test_a_drain_leaves_a_context_whole(proxy: TcpProxy, behind: Behind, bundle: Bundle) -> None:
    first = await behind()
    async with (
        IntentClient(proxy.address) as client,
        client.stream(accumulate_context=True) as stream,
    ):
        await stream.classify("one")
        first.engine.hold()
        sent = [await stream.send("two")]
        await first.engine.wait_running(1)
        second = await behind()
        await wait_draining(first)
        sent.append(await stream.send("three"))  # it may not overtake "two"
        async with IntentClient(second.served.address) as other:
            await other.classify("elsewhere")  # time in which it would
        assert second.engine.prompts == [prompt_of(bundle, "elsewhere")]
        first.engine.release()
        await collect(stream, sent)

    assert second.engine.prompts[1:] == [prompt_of(bundle, "three", "one", "two")]


async def test_a_reset_is_not_undone_by_a_replay(proxy: TcpProxy, behind: Behind, bundle: Bundle) -> None:
    server = await behind()
    async with IntentClient(proxy.address) as client, client.stream(accumulate_context=True) as stream:
        await stream.classify("one")
        await stream.reset_context()
        await stream.classify("two")
        proxy.cut()
        await stream.classify("three")

    assert server.engine.prompts[-1] == prompt_of(bundle, "three", "two")


async def test_a_context_is_replayed_in_part_where_the_server_does_not_tell_its_limit(
    proxy: TcpProxy, behind: Behind, bundle: Bundle
) -> None:
    server = await behind(model_service=False, max_context_turns=3)
    async with IntentClient(proxy.address) as client, client.stream(accumulate_context=True) as stream:
        for text in ("one", "two", "three", "four"):
            await stream.classify(text)
        proxy.cut()
        await stream.classify("five")

    assert server.engine.prompts[-1] == prompt_of(bundle, "five", "three", "four")


async def test_an_overloaded_server_gets_the_item_again_when_it_said(
    start_in_memory: StartInMemory, ready_file: Path
) -> None:
    server = await start_in_memory(max_in_flight=2, ready_file=ready_file)
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        server.engine.hold()
        others = [asyncio.create_task(client.classify(f"other {number}")) for number in range(2)]
        await server.engine.wait_running(2)
        waiting = asyncio.create_task(stream.classify("hello"))
        await wait_refused(ready_file)
        server.engine.release()
        assert isinstance(await waiting, Classification)
        await asyncio.gather(*others)


async def test_an_overload_that_lasts_is_told(start_in_memory: StartInMemory) -> None:
    server = await start_in_memory(max_in_flight=1)
    async with IntentClient(server.served.address) as client, client.stream() as stream:
        server.engine.hold()
        other = asyncio.create_task(client.classify("other"))
        await server.engine.wait_running(1)
        with pytest.raises(OverloadedError):
            await stream.classify("hello", timeout_s=2)
        server.engine.release()
        await other


async def test_items_that_nobody_answers_fail_in_time_and_the_stream_goes_on(proxy: TcpProxy, behind: Behind) -> None:
    server = await behind()
    async with IntentClient(proxy.address) as client, client.stream() as stream:
        assert await stream.classify("hello")
        proxy.target = ""
        proxy.cut()
        with pytest.raises(UnavailableError):
            await stream.classify("hello", timeout_s=0.5)
        proxy.target = server.served.address
        assert await stream.classify("hello")


async def test_another_model_behind_the_address_ends_a_pinned_stream(
    proxy: TcpProxy, behind: Behind, bundle: Bundle
) -> None:
    await behind(model_label=["stable"])
    async with IntentClient(proxy.address) as client, client.stream(label="stable") as stream:
        assert await stream.classify("hello")
        await behind(model_label=["canary"])
        proxy.cut()
        with pytest.raises(ModelNotServedError):
            await stream.classify("hello")
        with pytest.raises(ModelNotServedError):
            await stream.send("hello")
        with pytest.raises(ModelNotServedError):
            await anext(stream)


async def test_a_caller_that_is_not_known_any_more_is_told(proxy: TcpProxy, behind: Behind, tmp_path: Path) -> None:
    await behind()
    async with IntentClient(proxy.address) as client, client.stream() as stream:
        assert await stream.classify("hello")
        tokens = tmp_path / "tokens"
        tokens.write_text(f"caller {'0' * 64}\n", encoding="utf-8")
        await behind(token_file=tokens)
        proxy.cut()
        with pytest.raises(UnauthenticatedError):
            await stream.classify("hello")
