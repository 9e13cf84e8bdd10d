"""Calls through the real Envoy: each method, the pin, the revision, the weights, users that stay, and mirroring."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from intently import IntentClient
from intently.v1 import intent_service_pb2 as pb
from intently.v1.intent_service_pb2_grpc import IntentServiceStub
from intently_release.colors import Color, all_to, split
from intently_release.xds.names import PIN_HEADER, REVISION_HEADER
from support.hostile.peer import CLASSIFY
from support.two_colors import TwoColors, two_colors
from support.unreadable_path import UNREADABLE, answer_to, send_path

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
HELLO = pb.ClassifyRequest(text="hello")
STICKY = "x-user"
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]  # gRPC shares connections between channels otherwise
BLUE, GREEN = Color.BLUE, Color.GREEN


@pytest.fixture(scope="module")
def started() -> Iterator[TwoColors]:
    with two_colors(traffic={"sticky_header": STICKY, "mirror_percent": 100}) as colors:
        yield colors


@pytest.fixture
def colors(started: TwoColors) -> TwoColors:
    """Everything goes to blue again."""
    started.shift(all_to(BLUE))
    return started


class Caller:
    """Asks which color answers."""

    def __init__(self, colors: TwoColors, channel: grpc.aio.Channel) -> None:
        self._of = {revision: color for color, revision in colors.revisions.items()}
        self._intents = IntentServiceStub(channel)

    async def color(self, **metadata: str) -> Color:
        """Of one call, with this metadata ("_" stands for "-")."""
        sent = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        answer = await self._intents.Classify(HELLO, metadata=sent, timeout=20)
        return self._of[answer.model.revision]

    async def colors(self, calls: int, **metadata: str) -> Counter[Color]:
        """Of so many calls."""
        return Counter(await asyncio.gather(*(self.color(**metadata) for _ in range(calls))))


async def test_every_method_is_answered(colors: TwoColors) -> None:
    async with IntentClient(colors.address) as client:
        assert (await client.classify("hello")).predictions
        assert len(await client.classify_batch(["hello", "goodbye"])) == 2
        async with client.stream() as stream:
            assert await stream.classify("hello")
        [model] = await client.list_models()
        assert model.revision == colors.revisions[BLUE]
        assert await client.list_intents(model.name)


async def test_health_and_reflection_are_answered(colors: TwoColors) -> None:
    async with grpc.aio.insecure_channel(colors.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service="intently.v1.IntentService")
        assert (await health.Check(asked, timeout=20)).status == health_pb2.HealthCheckResponse.SERVING
        watch = health.Watch(asked, timeout=20)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()
        listing = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=20
        )
        answers = [answer async for answer in listing]
    names = {service.name for answer in answers for service in answer.list_services_response.service}
    assert "intently.v1.IntentService" in names


async def test_a_pin_reaches_its_color_whatever_the_weights(colors: TwoColors) -> None:
    async with grpc.aio.insecure_channel(colors.address) as channel:
        caller = Caller(colors, channel)
        for weights in (all_to(BLUE), all_to(GREEN)):
            colors.shift(weights)
            for color in Color:
                assert await caller.color(**{PIN_HEADER: color}) is color


async def test_a_pinned_stream_reaches_its_color(colors: TwoColors) -> None:
    async with grpc.aio.insecure_channel(colors.address) as channel:
        call = IntentServiceStub(channel).ClassifyStream(metadata=((PIN_HEADER, GREEN.value),), timeout=20)
        await call.write(pb.ClassifyStreamRequest(config=pb.StreamConfig()))
        opened = await call.read()
        call.cancel()

    assert isinstance(opened, pb.ClassifyStreamResponse)
    assert opened.ready.model.revision == colors.revisions[GREEN]


async def test_a_revision_is_found_whatever_the_weights(colors: TwoColors) -> None:
    colors.shift(all_to(BLUE), by_revision=True)
    async with grpc.aio.insecure_channel(colors.address) as channel:
        caller = Caller(colors, channel)
        for color in Color:
            assert await caller.color(**{REVISION_HEADER: colors.revisions[color]}) is color
        assert (
            await caller.color(**{REVISION_HEADER: colors.revisions[GREEN], PIN_HEADER: BLUE}) is BLUE
        )  # the pin comes first


async def test_the_client_librarys_revision_is_routed_by(colors: TwoColors) -> None:
    colors.shift(all_to(BLUE), by_revision=True)
    async with IntentClient(colors.address) as client:
        answer = await client.classify("hello", revision=colors.revisions[GREEN])

    assert answer.message.model.revision == colors.revisions[GREEN]


async def test_weights_are_applied_by_a_rename(colors: TwoColors) -> None:
    async with grpc.aio.insecure_channel(colors.address) as channel:
        caller = Caller(colors, channel)
        assert set(await caller.colors(20)) == {BLUE}
        colors.shift(split(GREEN, 50))
        assert set(await caller.colors(100)) == {BLUE, GREEN}
        colors.shift(all_to(GREEN))
        assert set(await caller.colors(20)) == {GREEN}


async def test_a_stream_stays_where_it_is_when_weights_shift(colors: TwoColors) -> None:
    async with IntentClient(colors.address) as client, client.stream() as stream:
        first = await stream.classify("hello")
        colors.shift(all_to(GREEN))
        assert (await stream.classify("hello")).message.model.revision == first.message.model.revision
        assert (await client.classify("hello")).message.model.revision == colors.revisions[GREEN]


async def test_users_stay_on_their_color_and_only_join_the_canary(colors: TwoColors) -> None:
    users = [f"user-{number}" for number in range(120)]
    on_green: set[str] = set()
    async with grpc.aio.insecure_channel(colors.address) as channel:
        caller = Caller(colors, channel)
        for percent in (5, 25, 50, 100):
            colors.shift(split(GREEN, percent))
            rounds = [await asyncio.gather(*(caller.color(**{STICKY: user}) for user in users)) for _ in range(3)]
            assert rounds[0] == rounds[1] == rounds[2]
            now = {user for user, color in zip(users, rounds[0], strict=True) if color is GREEN}
            assert now >= on_green
            on_green = now
    assert on_green == set(users)


async def test_calls_are_mirrored_to_the_color_that_is_tried_out(colors: TwoColors) -> None:
    name = "cluster.green.upstream_rq_total"
    before = colors.envoy.stats(name)[name]
    colors.shift(all_to(BLUE), mirror_to=GREEN)
    async with grpc.aio.insecure_channel(colors.address) as channel:
        assert set(await Caller(colors, channel).colors(10)) == {BLUE}

    while colors.envoy.stats(name)[name] < before + 10:  # noqa: ASYNC110  # nobody waits for a copy's answer
        await asyncio.sleep(0.01)


async def test_a_method_that_nobody_has_gets_no_statistics(colors: TwoColors) -> None:
    async with grpc.aio.insecure_channel(colors.address) as channel:
        for path in ("/intently.v1.ModelService/Invented", "/invented.Service/Invented"):
            invented: Any = channel.unary_unary(path)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await invented(b"", timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    assert not colors.envoy.stats("Invented")


async def test_figures_stand_on_the_color_that_the_weights_chose(colors: TwoColors) -> None:
    name = "cluster.green-first.grpc.intently_v1_IntentService.Classify.0"
    before = colors.envoy.stats(name).get(name, 0)
    colors.shift(all_to(GREEN))
    async with grpc.aio.insecure_channel(colors.address) as channel:
        caller = Caller(colors, channel)
        await caller.colors(7)
        await caller.colors(5, **{PIN_HEADER: GREEN})

    assert colors.envoy.stats(name)[name] == before + 7


async def test_no_connection_of_a_caller_is_closed_while_weights_shift(colors: TwoColors) -> None:
    pattern = "^http.intently.downstream_cx_(total|destroy|drain_close)$"
    async with grpc.aio.insecure_channel(colors.address, options=OWN_CONNECTION) as channel:
        caller = Caller(colors, channel)
        await caller.color()
        before = colors.envoy.stats(pattern)
        for percent in (5, 25, 50, 100, 0):
            colors.shift(split(GREEN, percent))
            await caller.colors(10)
        assert colors.envoy.stats(pattern) == before


async def test_1500_calls_at_once_overflow_nothing(colors: TwoColors) -> None:
    colors.shift(split(GREEN, 50))
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(colors.address, options=OWN_CONNECTION))
            for _ in range(3)
        ]
        calls = [IntentServiceStub(channel).Classify(HELLO, timeout=60) for channel in channels for _ in range(500)]
        details = Counter([await call.details() for call in calls])

    # A server may be full and say so, or be slower than a try may take: that is no overflow of Envoy's.
    assert not [text for text in details if "overflow" in (text or "")]
    assert details[""] > 0
    assert sum(colors.envoy.stats("cluster.*upstream_rq.*overflow").values()) == 0


async def test_a_color_that_dies_costs_no_call_but_those_pinned_to_it() -> None:
    with two_colors() as colors:
        colors.shift(split(GREEN, 50))
        async with grpc.aio.insecure_channel(colors.address) as channel:
            caller = Caller(colors, channel)
            assert set(await caller.colors(100)) == {BLUE, GREEN}
            colors.servers[GREEN].process.kill()
            assert set(await caller.colors(200)) == {BLUE}
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.color(**{PIN_HEADER: GREEN})
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "path", [CLASSIFY.encode() + b"?" + UNREADABLE, CLASSIFY.encode() + b"?x=1", b"/" + UNREADABLE]
)
async def test_a_path_with_more_than_a_method_reaches_no_server(colors: TwoColors, path: bytes) -> None:
    with contextlib.closing(send_path(colors.address, path)) as caller:
        caller.settimeout(20)
        answer = await asyncio.to_thread(answer_to, caller)

    assert answer[":status"] == "400" or answer["grpc-status"] == str(grpc.StatusCode.UNIMPLEMENTED.value[0])
    async with IntentClient(colors.address) as client:
        assert (await client.classify("hello")).predictions
    assert not any(server.errors_logged() for server in colors.servers.values())
