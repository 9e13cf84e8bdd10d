"""Figures of the real Envoy in front of real servers: what it counts of sound colors and ill ones, and the verdict."""

import asyncio
import signal
from collections.abc import Mapping

import grpc
import pytest

from intently.v1 import intent_service_pb2 as pb
from intently_release.colors import Color, all_to, split
from intently_release.config import Thresholds
from intently_release.judge.figures import Figures
from intently_release.judge.verdict import Outcome, Verdict, judge
from intently_release.judge.window import Window, between
from intently_release.proxy.histogram import Histogram
from support.envoy_process import running_envoy
from support.judged_colors import HELLO, Caller, calling, ended, ill, judged_colors, stopped
from support.paced_engine import Pace
from support.stream_caller import StreamCaller

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
BLUE, GREEN = Color.BLUE, Color.GREEN
ANY_LATENCY = Thresholds(p99_least_ms=60_000)  # where latency is not what is tested: the machine may be busy


def verdict(
    before: Mapping[Color, Figures], after: Mapping[Color, Figures], thresholds: Thresholds = ANY_LATENCY
) -> Verdict:
    """On green, beside blue."""
    return judge(thresholds, between(before[GREEN], after[GREEN]), between(before[BLUE], after[BLUE]))


async def judged(caller: Caller, calls: int, thresholds: Thresholds = ANY_LATENCY) -> Verdict:
    """The verdict on green after so many calls."""
    before = await caller.both()
    await caller.call(calls)
    return verdict(before, await caller.settled(), thresholds)


async def test_what_each_kind_of_call_adds() -> None:
    with judged_colors(all_to(GREEN)) as colors:
        async with calling(colors.envoy) as caller:
            before = await caller.both()
            assert await caller.call(60) == {grpc.StatusCode.OK: 60}
            assert await caller.call(3, pb.ClassifyRequest()) == {grpc.StatusCode.INVALID_ARGUMENT: 3}
            await caller.intents.BatchClassify(pb.BatchClassifyRequest(requests=[HELLO] * 5))
            stream = StreamCaller(caller.intents)
            await stream.open()
            await stream.item("first")
            await stream.receive()
            during = between(before[GREEN], await caller.figures(GREEN))
            await stream.finish()
            settled = await caller.settled()

    after, other = (between(before[color], settled[color]) for color in (GREEN, BLUE))
    assert (during.codes, during.active) == ({0: 61, 3: 3}, 1)
    assert (after.codes, after.active) == ({0: 62, 3: 3}, 0)
    assert (after.singles, after.latency.count) == (63, 63)
    assert (after.silent, after.telling) == (2, 63)
    assert (after.unanswered, after.retries, after.overflow) == (0, 0, 0)
    assert (after.healthy, after.pending, after.total, after.ejected, after.ejections) == (1, 0, 1, 0, 0)
    assert other == Window(seconds=other.seconds, healthy=1, total=1, latency=Histogram())


async def test_a_sound_canary_is_good() -> None:
    with judged_colors(split(GREEN, 50)) as colors:
        async with calling(colors.envoy) as caller:
            found = await judged(caller, 300)

    assert found.kind is Outcome.GOOD, found.reasons


async def test_few_calls_are_too_few() -> None:
    with judged_colors(split(GREEN, 50)) as colors:
        async with calling(colors.envoy) as caller:
            found = await judged(caller, 40)

    assert found.kind is Outcome.TOO_FEW, found.reasons


async def test_a_canary_that_fails_is_bad() -> None:
    with judged_colors(split(GREEN, 50), {GREEN: ill("internal:0.5")}) as colors:
        async with calling(colors.envoy) as caller:
            found = await judged(caller, 300)

    assert found.kind is Outcome.BAD
    assert "calls failed (INTERNAL" in found.reasons[0]


@pytest.mark.parametrize(("fault", "kind"), [("internal", Outcome.BAD), ("internal:0.2", Outcome.TOO_FEW)])
async def test_a_canary_that_fails_batches_alone_is_never_good(fault: str, kind: Outcome) -> None:
    with judged_colors(split(GREEN, 50), {GREEN: ill(fault)}) as colors:
        async with calling(colors.envoy) as caller:
            before = await caller.both()
            batch = pb.BatchClassifyRequest(requests=[HELLO] * 8)
            for _ in range(160):
                await ended(caller.intents.BatchClassify(batch, timeout=20))
            found = verdict(before, await caller.settled())

    assert found.kind is kind, found.reasons


async def test_a_canary_is_bad_whose_failures_nobody_sees() -> None:
    with judged_colors(split(GREEN, 50), {GREEN: ill("unavailable")}) as colors:
        async with calling(colors.envoy) as caller:
            before = await caller.both()
            seen = await caller.call(300)
            after = await caller.both()

    found, window = verdict(before, after), between(before[GREEN], after[GREEN])
    assert seen == {grpc.StatusCode.OK: 300}
    assert window.retries > 0
    assert window.ejections > 0
    assert found.kind is Outcome.BAD
    assert "ejected for failing calls" in " ".join(found.reasons)


async def test_retries_alone_make_a_canary_bad() -> None:
    with judged_colors(split(GREEN, 50), {GREEN: ill("unavailable:0.2")}) as colors:
        async with calling(colors.envoy) as caller:
            found = await judged(caller, 400)

    assert found.kind is Outcome.BAD
    assert "hid behind the canary's" in " ".join(found.reasons) or "ejected" in " ".join(found.reasons)


async def test_a_canary_that_is_slow_is_bad() -> None:
    with judged_colors(split(GREEN, 50), {GREEN: ill("slow")}) as colors:
        async with calling(colors.envoy) as caller:
            found = await judged(caller, 300, Thresholds(p99_times_stable=1))

    assert found.kind is Outcome.BAD
    assert "single calls took over" in found.reasons[0]


async def test_a_canary_that_was_killed_is_bad() -> None:
    with judged_colors(split(GREEN, 50)) as colors:
        async with calling(colors.envoy) as caller:
            before = await caller.both()
            colors.servers[GREEN].process.send_signal(signal.SIGKILL)
            await caller.until(GREEN, lambda each: not each.healthy)
            found = verdict(before, await caller.both())

    assert found == Verdict(Outcome.BAD, ("0 of the canary's 1 servers are healthy.",))


async def test_a_canary_that_hangs_is_bad_even_if_its_callers_do_not_wait() -> None:
    with judged_colors(all_to(GREEN), per_try_timeout=10) as colors, stopped(colors.servers[GREEN]):
        async with calling(colors.envoy) as caller:
            before = await caller.both()
            calls = [caller.intents.Classify(HELLO) for _ in range(60)]
            waiting = await caller.until(GREEN, lambda each: each.begun == 60)
            for call in calls:
                call.cancel()
            await caller.until(GREEN, lambda each: not each.active)
            after = await caller.both()

    early, late = (between(before[GREEN], each) for each in (waiting, after[GREEN]))
    assert (early.unanswered, early.calls) == (0, 0)
    assert (late.unanswered, late.calls) == (60, 0)
    found = verdict(before, after)
    assert found.kind is Outcome.BAD
    assert "60 of the canary's 60 calls got no answer" in found.reasons[0]


async def test_calls_over_the_most_at_once_are_counted() -> None:
    with judged_colors(
        all_to(GREEN), pace=Pace(step_s=0.2, batch=64), max_concurrent_streams=1, max_waiting=4
    ) as colors:
        async with calling(colors.envoy) as caller:
            before = await caller.figures(GREEN)
            codes = await asyncio.gather(*(ended(caller.intents.Classify(HELLO)) for _ in range(60)))
            window = between(before, await caller.figures(GREEN))

    assert window.overflow >= codes.count(grpc.StatusCode.UNAVAILABLE) > 0
    assert window.codes[14] == codes.count(grpc.StatusCode.UNAVAILABLE)


async def test_streams_have_room_of_their_own_while_calls_overflow() -> None:
    with judged_colors(
        all_to(GREEN), pace=Pace(step_s=0.2, batch=1), max_concurrent_streams=1, max_waiting=4
    ) as colors:
        async with calling(colors.envoy) as caller:
            calls = asyncio.gather(*(ended(caller.intents.Classify(HELLO)) for _ in range(60)))
            while not (await caller.figures(GREEN)).overflow:  # noqa: ASYNC110  # Envoy has to be asked
                await asyncio.sleep(0.01)
            stream = StreamCaller(caller.intents)
            await stream.open()
            await stream.item("first")
            answer = await stream.receive()
            await stream.finish()
            codes = await calls

    assert answer.response.request_id == "first"
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


async def test_a_restart_of_envoy_is_no_verdict() -> None:
    with judged_colors(split(GREEN, 50)) as colors:
        async with calling(colors.envoy) as caller:
            await caller.call(200)
            before = await caller.settled()
        colors.envoy.process.kill()
        colors.envoy.process.wait()
        with running_envoy(colors.envoy.config, colors.envoy.layout.run_dir, split(GREEN, 50)) as again:
            again.wait_healthy(*Color)
            async with calling(again) as caller:
                found = verdict(before, await caller.both())

    assert found.kind is Outcome.UNKNOWN
    assert [reason.split(":")[0] for reason in found.reasons] == [
        "Nothing can be said of the canary",
        "Nothing can be said of the stable color",
    ]
