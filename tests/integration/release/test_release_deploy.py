"""Releases on a whole stack: promoted, aborted, taken back, interrupted, and what the other commands say beside it."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from intently_release.colors import Color, all_to
from support.release_stack import Done, Stack, finished, stack, wait_for
from support.restart_load import RestartLoad

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]

QUICK = ("--step-ms", "2", "--batch", "64")
CANARY = "second"
CALLERS = 6  # of the library, and as many by gRPC alone
PACE_S = 2 * CALLERS / 300  # the design measured at 300 calls a second
BAD = {
    "internal:0.05": (8.0, 6),  # enough calls to see that it is bad before it gets more of them
    "internal": (1.0, 20 + 2 * CALLERS),  # ejected for 20 in a row, with others under way
    "unavailable": (1.0, 0),
    "slow:0.6": (1.0, 0),
    "crash:0.02": (1.0, 0),
    "hang:0.02": (1.0, 0),
}
"""Kinds of bad bundles, with a dwell, and how many failures callers may see of one: what the design measured."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    """A stack that all tests share which need no other: starting one takes seconds."""
    with stack(*QUICK, releasing={"patience": 6.0}) as made:
        yield made


@pytest.fixture
def healthy(shared: Stack) -> Stack:
    """The shared stack, with no release under way, and all calls on the stable color."""
    shared.settle()
    return shared


def stable_of(made: Stack) -> Color:
    """The color that is stable now."""
    return Color(made.state["stable"])


async def under_load(
    made: Stack, work: Callable[[], Done], batches: int = 1, pause_s: float = 0.01
) -> tuple[Done, RestartLoad]:
    """Does it in a thread while calls, batches and streams go on through Envoy."""
    load = RestartLoad(made.address, pause_s)
    async with load.running(callers=CALLERS, bare=CALLERS, streams=6, batches=batches):
        await load.wait_more_than(load.answered.copy())
        done = await asyncio.to_thread(work)
        await load.wait_more_than(load.answered.copy())
    return done, load


async def test_a_good_bundle_goes_live_and_nobody_notices(healthy: Stack) -> None:
    bundle, canary = healthy.another(), stable_of(healthy).other

    done, load = await under_load(healthy, lambda: healthy.run("deploy", str(bundle)))

    assert done.code == 0, done.errors + healthy.logs()
    assert load.failures == []
    assert healthy.state["weights"] == all_to(canary)
    kinds = [event["event"] for event in done.events if event["event"] != "look"]
    assert kinds[:6] == ["started", "ready", "golden", "shifted", "shifted", "promoted"]
    assert (kinds[6], kinds[-1]) == ("moving", "moved")
    history = healthy.run("history", "-n", "5").events[:4]
    assert [(entry["event"], entry["bundle"], entry["weights"][canary]) for entry in history] == [
        ("started", str(bundle), 0),
        ("shifted", str(bundle), 25),
        ("shifted", str(bundle), 100),
        ("promoted", str(bundle), 100),
    ]


async def test_the_way_back_takes_one_command(healthy: Stack) -> None:
    bundle, before = healthy.another(), stable_of(healthy)

    def there_and_back() -> Done:
        assert healthy.run("deploy", str(bundle), "--fast").code == 0
        return healthy.run("rollback")

    done, load = await under_load(healthy, there_and_back)

    assert done.code == 0, done.errors
    assert load.failures == []
    assert healthy.state["weights"] == all_to(before)


def test_what_is_live_is_not_deployed_again(healthy: Stack) -> None:
    done = healthy.run("deploy", healthy.state["slots"][stable_of(healthy)]["bundle"])

    assert done.code == 0
    assert [event["event"] for event in done.events] == ["already_live"]


def test_without_traffic_nothing_is_promoted_unless_told(healthy: Stack) -> None:
    before = stable_of(healthy)

    with healthy.releasing(patience=1.2):
        done = healthy.run("deploy", str(healthy.another()))

    assert done.code == 3, done.errors
    assert healthy.state["weights"] == all_to(before)
    assert "promote" in done.event("inconclusive")["text"]

    promoted = healthy.run("promote")

    assert promoted.code == 0
    assert healthy.state["weights"] == all_to(before.other)


def test_without_traffic_the_golden_requests_may_decide(healthy: Stack) -> None:
    canary = stable_of(healthy).other

    done = healthy.run("deploy", str(healthy.another()), "--no-traffic=promote")

    assert done.code == 0, done.errors
    assert healthy.state["weights"] == all_to(canary)


def test_two_at_once_the_second_is_told_by_whom(healthy: Stack) -> None:
    first = healthy.start("deploy", str(healthy.another()))
    wait_for(first, "started")

    second = healthy.run("shift", "10")
    first.terminate()
    finished(first)

    assert second.code == 2
    assert str(first.pid) in second.errors
    assert "deploy" in second.errors


async def test_a_release_goes_on_when_nobody_reads_what_it_says(healthy: Stack) -> None:
    canary = stable_of(healthy).other

    def watched_for_a_line() -> Done:
        watched = healthy.start("deploy", str(healthy.another()))
        wait_for(watched, "started")
        assert watched.stdout is not None
        watched.stdout.close()
        assert watched.stderr is not None
        errors = watched.stderr.read()
        return Done(watched.wait(), [], errors)

    done, load = await under_load(healthy, watched_for_a_line)

    assert done.code == 0, done.errors
    assert load.failures == []
    assert healthy.state["weights"] == all_to(canary)
    assert "Traceback" not in done.errors


def test_a_shift_that_cannot_be_written_is_told_and_goes_through_when_it_is_told_again(healthy: Stack) -> None:
    if healthy.state["slots"][stable_of(healthy).other]["wanted"] != "running":
        assert healthy.run("deploy", str(healthy.another()), "--fast", "--no-traffic=promote").code == 0
    partial = healthy.run_dir / "xds" / "partial"
    partial.rename(healthy.folder / "away")
    try:
        partial.touch()
        refused = healthy.run("shift", "40")
    finally:
        partial.unlink()
        (healthy.folder / "away").rename(partial)

    assert refused.code == 2
    assert f"cannot write {partial}" in refused.errors
    assert "Traceback" not in refused.errors
    assert healthy.run("shift", "40").code == 0
    applied = healthy.run("status").events[0]["weights"]["applied"]
    assert applied[stable_of(healthy).other] == 40


@pytest.mark.parametrize("until", ["started", "ready", "golden", "shifted"])
async def test_who_is_killed_goes_on_from_there(healthy: Stack, until: str) -> None:
    bundle, canary = str(healthy.another()), stable_of(healthy).other

    def kill_and_go_on() -> Done:
        killed = healthy.start("deploy", bundle)
        wait_for(killed, until)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert healthy.run("deploy", str(healthy.another())).code == 2  # not another one meanwhile
        return healthy.run("deploy", bundle)

    done, load = await under_load(healthy, kill_and_go_on)

    assert done.code == 0, done.errors
    assert load.failures == []
    assert healthy.state["weights"] == all_to(canary)


async def test_an_old_color_that_is_stopped_loses_nothing() -> None:
    with stack(*QUICK, releasing={"old_color": "stop"}) as made:

        def deploy_and_stop(old: str) -> Done:
            done = made.run("deploy", str(made.another()))
            while made.observed()[f"{old}-0"]["pid"] is not None:
                time.sleep(0.05)
            return done

        there, load_there = await under_load(made, lambda: deploy_and_stop("blue"))
        back, load_back = await under_load(made, lambda: deploy_and_stop("green"))
        weights = made.state["weights"]
        refused = made.run("rollback")

    for done, load in ((there, load_there), (back, load_back)):
        assert done.code == 0, done.errors
        assert load.failures == []
    assert weights == all_to(Color.BLUE)
    assert refused.code == 2
    assert "nothing to go back to" in refused.errors


@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_bundle_is_taken_back(fault: str) -> None:
    dwell, most_failures = BAD[fault]
    plan = {"steps": [10, 100], "dwell": dwell}
    with stack(*QUICK, "--fault", fault, "--faulty-bundle", CANARY, releasing=plan) as made:
        bundle = str(made.bundle(CANARY))

        # No batches: one whose items fail is an answer all the same, which nobody tries again.
        done, load = await under_load(made, lambda: made.run("deploy", bundle), batches=0, pause_s=PACE_S)

        assert done.code == 1, f"{done.events} {done.errors}"
        assert made.state["weights"] == all_to(Color.BLUE)
        assert done.event("aborted")["reasons"]
        assert len(load.failures) <= most_failures, load.failures


async def test_a_bundle_whose_golden_answers_are_wrong_gets_no_call() -> None:
    with stack(*QUICK, "--fault", "forgetful", "--faulty-bundle", CANARY) as made:
        bundle = str(made.bundle(CANARY))

        done, load = await under_load(made, lambda: made.run("deploy", bundle))
        slots = made.state["slots"]

        assert done.code == 1, f"{done.events} {done.errors}"
        assert "a confidence differs by" in done.event("aborted")["reasons"][0]
        assert load.failures == []
        assert load.last_sent.keys() == {slots["blue"]["revision"]}
        assert (made.state["weights"], slots["green"]["wanted"]) == (all_to(Color.BLUE), "stopped")
        assert "shifted" not in [event["event"] for event in done.events]


def test_a_bundle_that_never_starts_is_given_up() -> None:
    with stack("--fault", "never-starts", "--faulty-bundle", CANARY, servers={"backoff_first": 0.1}) as made:
        done = made.run("deploy", str(made.bundle(CANARY)))

        assert done.code == 1, done.errors
        assert made.state["weights"] == all_to(Color.BLUE)
        assert "green-0.log" in done.event("aborted")["reasons"][0]
