"""What was begun and not finished, on a whole stack: by a command that failed half way, or when Envoy died."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from intently_release.colors import Color, Weights, all_to
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import EnvoyAdmin
from support.release_stack import Done, Stack, finished, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    """A stack that all tests share."""
    with stack("--step-ms", "2", "--batch", "64", releasing={"patience": 6.0, "dwell": 0.5, "bake": 0.0}) as made:
        yield made


def stable_of(made: Stack) -> Color:
    """The color that is stable now."""
    return Color(made.state["stable"])


def applied(made: Stack) -> Weights | None:
    """Envoy's weights."""

    async def ask() -> Weights | None:
        async with EnvoyAdmin(Layout(made.run_dir).admin_socket) as admin:
            while True:  # the test's own timeout bounds the wait
                with contextlib.suppress(ProxyProblem):  # `up` may be starting it again
                    return (await admin.applied()).weights
                await asyncio.sleep(0.1)

    return asyncio.run(ask())


def without_routes(made: Stack, *arguments: str) -> Done:
    """A command that writes the state, and cannot write the routes."""
    partial = made.run_dir / "xds" / "partial"
    partial.rename(made.folder / "away")
    try:
        partial.touch()
        return made.run(*arguments)
    finally:
        partial.unlink()
        (made.folder / "away").rename(partial)


def test_the_history_begins_with_what_up_started(shared: Stack) -> None:
    first = shared.run("history", "-n", "1000").events[0]

    assert (first["event"], first["color"], first["weights"]) == ("started", "blue", {"blue": 100, "green": 0})
    assert first["bundle"] == str(shared.bundle("first"))


def test_what_failed_half_way_is_finished_and_not_taken_back(shared: Stack) -> None:
    before = stable_of(shared)
    assert shared.run("deploy", str(shared.another()), "--no-traffic=promote").code == 0
    known = len(shared.run("history", "-n", "1000").events)

    for command, stable in (("rollback", before), ("promote", before.other), ("drain", before.other)):
        routed = applied(shared)
        assert without_routes(shared, command).code == 2
        assert applied(shared) == routed
        again = shared.run(command)
        assert again.code == 0, again.errors
        assert "finished what was interrupted" in again.events[0]["finished"]
        assert (stable_of(shared), applied(shared)) == (stable, all_to(stable))
        if command == "promote":
            twice = shared.run(command)
            assert (twice.code, applied(shared)) == (2, all_to(stable))
            assert "intently-release rollback" in twice.errors

    assert shared.state["slots"][before]["wanted"] == "stopped"
    done = [entry["event"] for entry in shared.run("history", "-n", "1000").events[known:]]
    assert done == ["rolled back", "promoted", "drained"]


async def test_an_envoy_that_dies_leaves_no_share_that_nobody_judges(shared: Stack) -> None:
    bundle, canary = str(shared.another()), stable_of(shared).other

    def killed_meanwhile() -> Done:
        release = shared.start("deploy", bundle)
        wait_for(release, "golden")
        os.kill(shared.observed()["envoy"]["pid"], signal.SIGKILL)
        return finished(release)

    load = RestartLoad(shared.address)
    async with load.running(callers=6, bare=6, streams=0):
        done = await asyncio.to_thread(killed_meanwhile)

    wanted = shared.state["weights"]
    assert wanted == (all_to(canary) if done.code == 0 else all_to(canary.other)), done.errors
    assert await asyncio.to_thread(applied, shared) == wanted
