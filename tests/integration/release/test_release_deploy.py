"""Releases on a whole stack: promoted, aborted, taken back, interrupted, and what the other commands say beside it."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator

import pytest

from support.release_stack import Done, Stack, finished, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

CANARY = "second"


@pytest.fixture
def healthy() -> Iterator[Stack]:
    """A stack that runs its first bundle on blue."""
    with stack("--step-ms", "2", "--batch", "64") as made:
        yield made


def weights_of(made: Stack) -> dict[str, int]:
    """As the state says."""
    weights: dict[str, int] = json.loads((made.run_dir / "state.json").read_text())["weights"]
    return weights


async def under_load(made: Stack, work: Callable[[], Done], batches: int = 1) -> tuple[Done, RestartLoad]:
    """Does it in a thread while calls, batches and streams go on through Envoy."""
    load = RestartLoad(made.address)
    async with load.running(callers=6, bare=6, streams=6, batches=batches):
        await load.wait_more_than(load.answered.copy())
        done = await asyncio.to_thread(work)
        await load.wait_more_than(load.answered.copy())
    return done, load


async def test_a_good_bundle_goes_live_and_nobody_notices(healthy: Stack) -> None:
    bundle = healthy.bundle(CANARY)

    done, load = await under_load(healthy, lambda: healthy.run("deploy", str(bundle)))

    assert done.code == 0, done.errors + healthy.logs()
    assert load.failures == []
    assert weights_of(healthy) == {"blue": 0, "green": 100}
    kinds = [event["event"] for event in done.events if event["event"] != "look"]
    assert kinds == ["started", "ready", "golden", "shifted", "shifted", "promoted"]
    history = healthy.run("history").events
    assert [entry["event"] for entry in history] == ["started", "promoted"]


async def test_the_way_back_takes_one_command(healthy: Stack) -> None:
    bundle = healthy.bundle(CANARY)

    def there_and_back() -> Done:
        assert healthy.run("deploy", str(bundle), "--fast").code == 0
        return healthy.run("rollback")

    done, load = await under_load(healthy, there_and_back)

    assert done.code == 0, done.errors
    assert load.failures == []
    assert weights_of(healthy) == {"blue": 100, "green": 0}


def test_what_is_live_is_not_deployed_again(healthy: Stack) -> None:
    done = healthy.run("deploy", str(healthy.folder / "first"))

    assert done.code == 0
    assert [event["event"] for event in done.events] == ["already_live"]


def test_without_traffic_nothing_is_promoted_unless_told(healthy: Stack) -> None:
    done = healthy.run("deploy", str(healthy.bundle(CANARY)))

    assert done.code == 3, done.errors
    assert weights_of(healthy) == {"blue": 100, "green": 0}
    assert "promote" in done.event("inconclusive")["text"]

    promoted = healthy.run("promote")

    assert promoted.code == 0
    assert weights_of(healthy) == {"blue": 0, "green": 100}


def test_without_traffic_the_golden_requests_may_decide(healthy: Stack) -> None:
    done = healthy.run("deploy", str(healthy.bundle(CANARY)), "--no-traffic=promote")

    assert done.code == 0, done.errors
    assert weights_of(healthy) == {"blue": 0, "green": 100}


def test_two_at_once_the_second_is_told_by_whom(healthy: Stack) -> None:
    first = healthy.start("deploy", str(healthy.bundle(CANARY)))
    wait_for(first, "started")

    second = healthy.run("shift", "10")
    first.terminate()
    finished(first)

    assert second.code == 2
    assert str(first.pid) in second.errors
    assert "deploy" in second.errors


@pytest.mark.parametrize("until", ["started", "ready", "golden", "shifted"])
async def test_who_is_killed_goes_on_from_there(healthy: Stack, until: str) -> None:
    bundle = str(healthy.bundle(CANARY))

    def kill_and_go_on() -> Done:
        killed = healthy.start("deploy", bundle)
        wait_for(killed, until)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert healthy.run("deploy", str(healthy.bundle("third"))).code == 2  # not another one meanwhile
        return healthy.run("deploy", bundle)

    done, load = await under_load(healthy, kill_and_go_on)

    assert done.code == 0, done.errors
    assert load.failures == []
    assert weights_of(healthy) == {"blue": 0, "green": 100}


@pytest.mark.parametrize("fault", ["internal:0.3", "internal", "unavailable", "slow:1", "crash:0.1"])
async def test_a_bad_bundle_is_taken_back(fault: str) -> None:
    with stack("--step-ms", "2", "--batch", "64", "--fault", fault, "--faulty-bundle", CANARY) as made:
        bundle = made.bundle(CANARY)

        # No batches: one whose items fail is an answer all the same, which nobody tries again.
        done, load = await under_load(made, lambda: made.run("deploy", str(bundle)), batches=0)

        assert done.code == 1, f"{done.events} {done.errors}"
        assert weights_of(made) == {"blue": 100, "green": 0}
        assert done.event("aborted")["reasons"]
        if fault in {"unavailable", "slow:1"}:
            assert load.failures == []


def test_a_bundle_that_never_starts_is_given_up() -> None:
    with stack("--fault", "never-starts", "--faulty-bundle", CANARY) as made:
        done = made.run("deploy", str(made.bundle(CANARY)))

        assert done.code == 1, done.errors
        assert weights_of(made) == {"blue": 100, "green": 0}
        assert "green-0.log" in done.event("aborted")["reasons"][0]
