"""Calls that are under way to a color, by weight, by pin, or waiting in Envoy: none of them may be drained away."""

import asyncio
from collections.abc import Callable

import pytest

from intently_release.colors import Color, all_to
from intently_release.proxy.admin import EnvoyAdmin
from intently_release.xds.names import PIN_HEADER
from support.judged_colors import HELLO, calling, judged_colors
from support.paced_engine import Pace
from support.stream_caller import StreamCaller

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]
BLUE, GREEN = Color.BLUE, Color.GREEN


async def until(admin: EnvoyAdmin, color: Color, enough: Callable[[int], bool]) -> None:
    """Returns once so many are; the test's own timeout bounds the wait."""
    while not enough((await admin.calls_under_way())[color]):  # noqa: ASYNC110  # Envoy has to be asked
        await asyncio.sleep(0.02)


async def test_calls_count_by_whatever_route_they_came_and_streams_do_not() -> None:
    with judged_colors(all_to(GREEN), pace=Pace(step_s=0.3, batch=1), max_concurrent_streams=2) as colors:
        async with EnvoyAdmin(colors.envoy.layout.admin_socket) as admin, calling(colors.envoy) as caller:
            for color in Color:
                metadata = ((PIN_HEADER, "blue"),) if color is BLUE else ()
                stream = StreamCaller(caller.intents, metadata=metadata)
                await stream.open()
                await until(admin, color, lambda number: number == 0)

                calls = [caller.intents.Classify(HELLO, metadata=metadata, timeout=60) for _ in range(12)]
                # Two of each of Envoy's two threads are at the server: the others wait.
                await until(admin, color, lambda number: number > 4)

                for call in calls:
                    call.cancel()
                await until(admin, color, lambda number: number == 0)
                await stream.finish()
