"""A release that is killed at any moment and run again, with the same plan or another: what it must never come to."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from intently_release.colors import Color, all_to, split
from intently_release.config import Releasing
from intently_release.errors import Refused, StateProblem
from intently_release.layout import Layout
from intently_release.release.aborting import Aborting
from intently_release.release.deploy import Deploy
from intently_release.release.judgement import Finding, Judgement
from intently_release.release.outcome import Ending
from intently_release.release.packaged import Packaged, read_packaged
from intently_release.release.unfinished import Unfinished
from intently_release.state.history import Event as Happened
from intently_release.state.history import History
from intently_release.state.state import Phase, Slot, State
from intently_release.state.store import Store
from support.paths import BUNDLE
from support.release_world import Killed, World

BLUE, GREEN = Color.BLUE, Color.GREEN
SLOW = Releasing(steps=(5, 25, 50, 100))
FAST = Releasing(steps=(50, 100), bake=0.0)
STOPPING = Releasing(steps=(10, 100), old_color="stop")
PLANS = {"default": SLOW, "fast": FAST, "stop": STOPPING}


class Failing(World):
    """A world in which a canary cannot be judged, as by a disk that is full, while it fails."""

    fails = True

    async def step(self, name: str, state: State, canary: Color) -> Judgement:
        """As bad as it is."""
        if self.fails:
            raise StateProblem("no room on the disk")
        return await super().step(name, state, canary)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Blue is live on one bundle."""
    layout = Layout(tmp_path)
    live = read_packaged(BUNDLE)
    slot = Slot(bundle=live.path, revision=live.revision, wanted="running")
    Store(layout).write(State(stable=BLUE, weights=all_to(BLUE), slots={BLUE: slot}))
    return layout


@pytest.fixture(scope="module")
def canary() -> Packaged:
    """What is released."""
    return read_packaged(BUNDLE.with_name("mini-massive-zh"))


async def golden(color: Color, packaged: Packaged) -> list[str]:
    """Nothing is wrong."""
    del color, packaged
    return []


def deploy(world: World, plan: Releasing) -> Deploy:
    """A release that this world carries out."""
    return Deploy(plan, world.book, world, world, golden, world, world)


def state_of(layout: Layout) -> State:
    """What is wanted."""
    state = Store(layout).read()
    assert state is not None
    return state


def anew(layout: Layout, state: State) -> None:
    """As if nothing had been done yet."""
    Store(layout).write(state)
    layout.history.unlink(missing_ok=True)


def kills(layout: Layout, bad_from: int = 101, finding: Finding | None = None) -> Iterator[World]:
    """A world for every moment that a release can be killed at, each as if nothing had been done; the last kills none.

    Args:
        layout: Where.
        bad_from, finding: See `World`.
    """
    before = state_of(layout)
    for kill_at in itertools.count():
        anew(layout, before)
        world = World(layout, bad_from=bad_from, finding=finding, kill_at=kill_at)
        yield world
        if world.changes < kill_at:
            return


async def killed_and_again(world: World, canary: Packaged, plans: Sequence[Releasing]) -> Ending:
    """Runs the first plan until the kill, and then the second to its end."""
    try:
        return (await deploy(world, plans[0]).run(canary)).ending
    except Killed:
        world.kill_at = None
        return (await deploy(world, plans[1]).run(canary)).ending


@pytest.mark.parametrize("again", PLANS)
@pytest.mark.parametrize("first", PLANS)
async def test_a_good_canary_is_live_in_the_end_and_was_judged(
    first: str, again: str, layout: Layout, canary: Packaged
) -> None:
    for world in kills(layout):
        ending = await killed_and_again(world, canary, (PLANS[first], PLANS[again]))

        state = state_of(layout)
        assert ending in {Ending.PROMOTED, Ending.ALREADY_LIVE}
        assert await world.follows(state)
        assert (state.stable, state.weights, state.release) == (GREEN, all_to(GREEN), None)
        assert state.slots[GREEN].wanted == "running"
        assert (state.slots[BLUE].moves > 0) == (state.slots[BLUE].wanted == "running")
        assert any(0 < share < 100 and found is Finding.GOOD for _, share, found in world.judged)
        assert all(earlier <= later for earlier, later in zip(world.shares, world.shares[1:], strict=False))


@pytest.mark.parametrize(
    ("again", "bad_from"),
    # Who does not bake does not look at what has all the traffic.
    [(again, bad_from) for again in PLANS for bad_from in (5, 50, 100) if PLANS[again].bake > 0 or bad_from < 100],
)
async def test_a_bad_canary_is_taken_back(again: str, bad_from: int, layout: Layout, canary: Packaged) -> None:
    for world in kills(layout, bad_from):
        ending = await killed_and_again(world, canary, (SLOW, PLANS[again]))

        state = state_of(layout)
        assert ending is Ending.ABORTED
        assert (state.stable, state.weights, state.release) == (BLUE, all_to(BLUE), None)
        assert await world.follows(state)
        assert state.slots[GREEN].wanted == "stopped"
        assert world.shares[-1] == 0


@pytest.mark.parametrize("again", PLANS)
async def test_what_was_written_down_as_bad_gets_no_second_chance(again: str, layout: Layout, canary: Packaged) -> None:
    met = 0
    for world in kills(layout, bad_from=25):
        try:
            await deploy(world, SLOW).run(canary)
        except Killed:
            found = state_of(layout).release
            if found is None or found.phase is not Phase.ABORTING:
                continue
            world.kill_at, world.judged, world.shares = None, [], []
            result = await deploy(world, PLANS[again]).run(canary)
            assert (result.ending, result.reasons) == (Ending.ABORTED, ("bad at 25 %.",))
            assert (world.judged, set(world.shares)) == ([], {0})
            met += 1
    assert met


async def test_an_abort_that_is_killed_is_finished_by_hand_too(layout: Layout, canary: Packaged) -> None:
    finished = 0
    for world in kills(layout, bad_from=25):
        try:
            await deploy(world, SLOW).run(canary)
        except Killed:
            world.kill_at = None
            state = state_of(layout)
            if state.release is not None and state.release.phase is Phase.ABORTING:
                await Aborting(world.book, world).finish(state)
                finished += 1
                assert state_of(layout).slots[GREEN].wanted == "stopped"
                assert state_of(layout).release is None
    assert finished


async def test_the_only_color_that_serves_is_not_stopped(layout: Layout, canary: Packaged) -> None:
    world = World(layout, bad_from=25, stable_serves=False)

    result = await deploy(world, SLOW).run(canary)

    assert result.ending is Ending.ABORTED
    assert "blue has no healthy server" in result.reasons[-1]
    assert state_of(layout).slots[GREEN].wanted == "running"
    assert state_of(layout).weights == all_to(BLUE)


@pytest.mark.parametrize("finding", [Finding.INCONCLUSIVE, Finding.NO_TRAFFIC])
async def test_what_nobody_can_say_is_no_pass(finding: Finding, layout: Layout, canary: Packaged) -> None:
    world = World(layout, finding=finding)

    result = await deploy(world, SLOW).run(canary)

    assert result.ending is Ending.INCONCLUSIVE
    state = state_of(layout)
    assert (state.stable, state.weights, state.previous) == (BLUE, all_to(BLUE), None)
    assert (state.slots[GREEN].wanted, state.slots[GREEN].moves) == ("running", 1)


async def test_the_end_of_what_nobody_can_say_is_finished_by_whoever_comes_next(
    layout: Layout, canary: Packaged
) -> None:
    cut_off = 0
    for world in kills(layout, finding=Finding.INCONCLUSIVE):
        try:
            await deploy(world, SLOW).run(canary)
        except Killed:
            world.kill_at = None
            if state_of(layout).release is not None or not world.shares:
                continue  # it goes on, or has not begun
            cut_off += 1
            await Unfinished(world.book, world).finish()

        state = state_of(layout)
        assert (state.weights, state.pending) == (all_to(BLUE), None)
        assert (state.slots[GREEN].wanted, state.slots[GREEN].moves) == ("running", 1)
        assert await world.follows(state)
        events = [entry.event for entry in History(layout).entries()]
        assert (events[-1], events.count(Happened.INCONCLUSIVE)) == (Happened.INCONCLUSIVE, 1)
    assert cut_off == 3


@pytest.mark.parametrize("finding", [Finding.GOOD, Finding.BAD, Finding.INCONCLUSIVE, None])
async def test_streams_of_a_canary_that_nobody_judges_any_more_are_not_left_there(
    finding: Finding | None, layout: Layout, canary: Packaged
) -> None:
    """Whoever gives it up is killed, and then the canary is found to be that, or given up again."""
    before = state_of(layout)
    for kill_at in itertools.count():
        anew(layout, before)
        world = Failing(layout, finding=finding, kill_at=kill_at)
        with pytest.raises((Killed, StateProblem)) as ended:
            await deploy(world, SLOW).run(canary)
        if ended.type is StateProblem:
            assert state_of(layout).slots[GREEN].moves == 1
        world.kill_at, world.fails = None, finding is None
        with contextlib.suppress(StateProblem):
            await deploy(world, SLOW).run(canary)

        state = state_of(layout)
        slot = state.slots[GREEN]
        assert await world.follows(state)
        assert state.stable is GREEN or slot.wanted == "stopped" or slot.moves > 0
        if ended.type is StateProblem:
            break


async def test_a_server_that_stays_is_told_again_where_it_is_left_again(layout: Layout, canary: Packaged) -> None:
    for moves in (1, 2):
        await deploy(World(layout, finding=Finding.INCONCLUSIVE), SLOW).run(canary)

        assert state_of(layout).slots[GREEN].moves == moves


async def test_a_color_with_calls_under_way_is_not_stopped(layout: Layout, canary: Packaged) -> None:
    world = World(layout, idle=False)

    await deploy(world, STOPPING).run(canary)

    assert state_of(layout).slots[BLUE].wanted == "running"
    assert state_of(layout).previous is BLUE


async def test_a_stopped_color_is_nothing_to_go_back_to(layout: Layout, canary: Packaged) -> None:
    await deploy(World(layout), STOPPING).run(canary)

    assert state_of(layout).slots[BLUE].wanted == "stopped"
    assert state_of(layout).previous is None


async def test_the_history_tells_everything_once(layout: Layout, canary: Packaged) -> None:
    for world in kills(layout):
        await killed_and_again(world, canary, (SLOW, SLOW))

        events = [entry.event for entry in History(layout).entries()]
        assert events.count(Happened.PROMOTED) == 1
        assert (events[0], events.count(Happened.STARTED)) == (Happened.STARTED, 1)
        shifts = [entry.weights for entry in History(layout).entries() if entry.event is Happened.SHIFTED]
        assert shifts == [split(GREEN, percent) for percent in SLOW.steps]


async def test_a_share_given_by_hand_is_not_taken_without_a_word(layout: Layout, canary: Packaged) -> None:
    Store(layout).write(state_of(layout).with_weights({BLUE: 50, GREEN: 50}))

    for packaged in (canary, read_packaged(BUNDLE)):
        with pytest.raises(Refused, match="green has 50 % of new calls, by hand"):
            await deploy(World(layout), SLOW).run(packaged)


async def test_a_bundle_rebuilt_where_the_live_one_lies_is_refused(layout: Layout) -> None:
    state = state_of(layout)
    Store(layout).write(state.with_slot(BLUE, state.slots[BLUE].model_copy(update={"revision": "0" * 64})))

    with pytest.raises(Refused, match="into a folder of its own"):
        await deploy(World(layout), SLOW).run(read_packaged(BUNDLE))
