"""Commands by hand that are killed at any moment or not followed by Envoy, and run again: they come to one end."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from intently_release.colors import Color, all_to, split
from intently_release.config import Releasing
from intently_release.errors import ProxyProblem, Refused, StateProblem
from intently_release.layout import Layout
from intently_release.release.byhand import ByHand, Moved
from intently_release.release.deploy import Deploy
from intently_release.release.judgement import Finding
from intently_release.release.outcome import Ending
from intently_release.release.packaged import Packaged, read_packaged
from intently_release.state.history import Event, History
from intently_release.state.state import Phase, ReleaseState, Slot, State
from intently_release.state.store import Store
from support.paths import BUNDLE
from support.release_world import Killed, World

BLUE, GREEN = Color.BLUE, Color.GREEN
RUNNING = {
    BLUE: Slot(bundle=Path("/bundles/one"), revision="1" * 64, wanted="running"),
    GREEN: Slot(bundle=Path("/bundles/two"), revision="2" * 64, wanted="running"),
}
BESIDE = State(stable=BLUE, weights=all_to(BLUE), slots=RUNNING)
SHARED = BESIDE.with_weights(split(GREEN, 25))
RELEASING = SHARED.changed(release=ReleaseState(id="7", canary=GREEN, phase=Phase.SHIFTING))
PROMOTED = State(stable=GREEN, weights=all_to(GREEN), slots=RUNNING, previous=BLUE)
PLAN = Releasing(steps=(25, 100))

Command = Callable[[ByHand], Awaitable[Moved]]
COMMANDS: dict[str, tuple[State, Command, Event, int]] = {
    "shift": (BESIDE, lambda hands: hands.shift(25), Event.SHIFTED, 25),
    "shift back": (SHARED, lambda hands: hands.shift(0), Event.SHIFTED, 0),
    "promote": (BESIDE, lambda hands: hands.promote(), Event.PROMOTED, 100),
    "promote a share": (SHARED, lambda hands: hands.promote(), Event.PROMOTED, 100),
    "promote a release": (RELEASING, lambda hands: hands.promote(), Event.PROMOTED, 100),
    "rollback": (PROMOTED, lambda hands: hands.rollback(), Event.ROLLED_BACK, 0),
    "abort a share": (SHARED, lambda hands: hands.abort(), Event.ABORTED, 0),
    "abort a release": (RELEASING, lambda hands: hands.abort(), Event.ABORTED, 0),
    "drain": (PROMOTED, lambda hands: hands.drain(), Event.DRAINED, 100),
}
"""From what state, what is done, what the history says of it, and what share green has in the end."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Both colors run; blue is stable."""
    return started(Layout(tmp_path), BESIDE)


def started(layout: Layout, state: State) -> Layout:
    """A run directory in which this is wanted, and nothing was done yet."""
    Store(layout).write(state)
    layout.history.unlink(missing_ok=True)
    return layout


def hands(world: World) -> ByHand:
    """The commands, in this world."""
    return ByHand(world.book, world, world)


def state_of(layout: Layout) -> State:
    """What is wanted."""
    state = Store(layout).read()
    assert state is not None
    return state


def told(layout: Layout) -> list[Event]:
    """What the history says."""
    return [entry.event for entry in History(layout).entries()]


async def deaf_to_its_end(world: World, command: Command) -> None:
    """A command whose first move Envoy does not take up: exit code 2."""
    world.deaf_at = frozenset({world.moves})
    with pytest.raises(ProxyProblem):
        await command(hands(world))


@pytest.mark.parametrize("name", COMMANDS)
async def test_killed_anywhere_and_run_again_it_comes_to_the_same(name: str, layout: Layout) -> None:
    before, command, event, share = COMMANDS[name]
    await command(hands(World(started(layout, before))))
    wanted, kill_at, killed = state_of(layout), 0, True
    assert (wanted.weights[GREEN], told(layout)) == (share, [event])
    while killed:
        world = World(started(layout, before), kill_at=kill_at)
        try:
            await command(hands(world))
            killed = False
        except Killed:
            world.kill_at = None
            await command(hands(world))

        assert state_of(layout) == wanted
        assert await world.follows(wanted)
        assert told(layout) == [event]
        assert set(world.shares) == {share}  # never further, and never back
        kill_at += 1
    assert kill_at > 4


@pytest.mark.parametrize("name", ["shift", "shift back", "promote", "promote a release", "rollback", "drain"])
async def test_what_envoy_did_not_follow_is_finished_by_the_same_command(name: str, layout: Layout) -> None:
    before, command, event, share = COMMANDS[name]
    world = World(started(layout, before))
    await deaf_to_its_end(world, command)
    assert told(layout) == []

    moved = await command(hands(world))

    assert str(event) in moved.finished
    assert (world.shares, told(layout)) == ([share], [event])
    assert await world.follows(state_of(layout))
    assert "pending" not in layout.state.read_text()


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("shift back", GREEN),
        ("promote", BLUE),
        ("promote a share", BLUE),
        ("promote a release", BLUE),
        ("rollback", GREEN),
    ],
)
async def test_streams_move_off_what_is_left_once_envoy_routes_elsewhere(
    name: str, left: Color, layout: Layout
) -> None:
    before, command, _, _ = COMMANDS[name]
    world = World(started(layout, before))
    await deaf_to_its_end(world, command)
    untold = state_of(layout)

    await command(hands(world))

    assert {untold.slots[color].moves for color in Color} == {0}
    assert {color: state_of(layout).slots[color].moves for color in Color} == {left: 1, left.other: 0}


async def test_what_came_of_streams_meanwhile_makes_nothing_told_twice(layout: Layout) -> None:
    world = World(started(layout, PROMOTED), kill_at=3)
    with pytest.raises(Killed):
        await hands(world).rollback()
    assert (told(layout), state_of(layout).pending is None) == ([Event.ROLLED_BACK], False)
    world.kill_at = None
    world.book.note_moved(BLUE, ("No stream is open to blue any more.",))

    await hands(world).rollback()

    assert told(layout) == [Event.ROLLED_BACK, Event.MOVED]


async def test_promoting_twice_takes_nothing_back(layout: Layout) -> None:
    world = World(layout)
    await hands(world).promote()

    with pytest.raises(Refused, match="intently-release rollback"):
        await hands(world).promote()

    assert (state_of(layout).stable, world.shares) == (GREEN, [100])


async def test_the_way_back_does_not_lead_through_what_envoy_never_took_up(layout: Layout) -> None:
    world = World(layout)
    await deaf_to_its_end(world, lambda hands: hands.promote())

    with pytest.raises(Refused, match="`intently-release rollback` goes back"):
        await hands(world).abort()
    await hands(world).rollback()

    assert (state_of(layout).stable, world.shares) == (BLUE, [0])
    assert told(layout) == [Event.PROMOTED, Event.ROLLED_BACK]


async def test_another_share_replaces_one_that_envoy_did_not_take_up(layout: Layout) -> None:
    world = World(layout)
    await deaf_to_its_end(world, lambda hands: hands.shift(50))

    await hands(world).shift(5)

    assert world.shares == [5]
    assert await world.follows(state_of(layout))


async def test_no_color_is_stopped_that_envoy_still_gives_calls_to(layout: Layout) -> None:
    world = World(started(layout, SHARED))
    await deaf_to_its_end(world, lambda hands: hands.shift(0))

    moved = await hands(world).drain()

    assert "green shifted" in moved.finished
    assert world.shares == [0, 0]
    assert told(layout) == [Event.SHIFTED, Event.DRAINED]


async def test_a_command_that_is_refused_finishes_what_was_begun(layout: Layout) -> None:
    world = World(started(layout, SHARED))
    await deaf_to_its_end(world, lambda hands: hands.shift(0))

    with pytest.raises(Refused, match=r"nothing to go back to.*finished what was interrupted: green shifted"):
        await hands(world).rollback()

    assert await world.follows(state_of(layout))


@pytest.mark.parametrize("finding", [Finding.GOOD, Finding.BAD, Finding.INCONCLUSIVE])
async def test_the_end_of_a_release_that_was_cut_off_is_finished_by_abort(finding: Finding, tmp_path: Path) -> None:
    live, canary = read_packaged(BUNDLE), read_packaged(BUNDLE.with_name("mini-massive-zh"))
    slot = Slot(bundle=live.path, revision=live.revision, wanted="running")
    before, kill_at, killed = State(stable=BLUE, weights=all_to(BLUE), slots={BLUE: slot}), 0, True
    while killed:
        layout = started(Layout(tmp_path), before)
        world = World(layout, finding=finding, kill_at=kill_at)
        try:
            await released(world, canary, PLAN)
            killed = False
        except Killed:
            world.kill_at = None
            behind = not await world.follows(state_of(layout))
            nothing = state_of(layout).release is None and state_of(layout).pending is None
            if nothing and not behind:
                with pytest.raises(Refused, match="nothing to abort"):
                    await hands(world).abort()
            else:
                await hands(world).abort()

        state = state_of(layout)
        assert await world.follows(state)
        assert (state.weights, state.release) == (all_to(state.stable), None)
        assert (state.slots[state.stable.other].moves > 0) == (state.slots[state.stable.other].wanted == "running")
        kill_at += 1


async def released(world: World, canary: Packaged, plan: Releasing) -> Ending:
    """A release in this world."""

    async def golden(color: Color, packaged: Packaged) -> list[str]:
        del color, packaged
        return []

    return (await Deploy(plan, world.book, world, world, golden, world, world).run(canary)).ending


async def test_what_is_live_already_is_routed_to_in_the_end(layout: Layout) -> None:
    live = read_packaged(BUNDLE)
    slots = {**RUNNING, GREEN: Slot(bundle=live.path, revision=live.revision, wanted="running")}
    world = World(started(layout, BESIDE.changed(slots=slots)))
    await deaf_to_its_end(world, lambda hands: hands.promote())

    assert await released(world, live, PLAN) is Ending.ALREADY_LIVE

    assert await world.follows(state_of(layout))
    assert told(layout) == [Event.PROMOTED]


@pytest.mark.parametrize("finding", [Finding.GOOD, Finding.BAD, Finding.INCONCLUSIVE])
async def test_a_release_that_envoy_leaves_takes_the_canary_s_share_back(finding: Finding, layout: Layout) -> None:
    canary, at, failed = read_packaged(BUNDLE), 0, True
    while failed:
        world = World(started(layout, BESIDE), finding=finding, deaf_at=frozenset({at}))
        try:
            await released(world, canary, PLAN)
            failed = False
        except ProxyProblem:
            state = state_of(layout)
            assert state.weights == all_to(state.stable)
            assert await world.follows(state)
            assert (
                state.release is None or state.release.phase is Phase.ABORTING or told(layout)[-1] is Event.INTERRUPTED
            )
            if state.release is not None and state.release.phase is Phase.SHIFTING:
                assert state.slots[GREEN].moves == 1  # nobody judges the canary: its streams go, too

            await released(world, canary, PLAN)
        assert await world.follows(state_of(layout))
        assert state_of(layout).stable is (GREEN if finding is Finding.GOOD else BLUE)
        at += 1
    assert at > 3


async def test_where_the_share_cannot_be_taken_back_either_the_first_fault_is_told(layout: Layout) -> None:
    canary = read_packaged(BUNDLE)
    world = World(layout, deaf_at=frozenset(range(2, 9)))

    with pytest.raises(ProxyProblem, match="did not take up") as caught:
        await released(world, canary, PLAN)

    assert "taking the canary's share back failed" in caught.value.__notes__[0]
    assert state_of(layout).weights == all_to(BLUE)  # Envoy follows as soon as it can
    assert told(layout)[-1] is Event.INTERRUPTED


async def test_a_judge_that_fails_leaves_no_share(layout: Layout) -> None:
    class Failing(World):
        async def step(self, *_: object) -> None:  # type: ignore[override]  # it never returns
            raise StateProblem("no room on the disk")

    world = Failing(layout)
    with pytest.raises(StateProblem):
        await released(world, read_packaged(BUNDLE), PLAN)

    assert state_of(layout).weights == all_to(BLUE)
    assert world.shares[-2:] == [25, 0]
