"""Waiting for the streams of a color that is kept: until they are gone, as long as there is patience, and no longer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from intently_release.colors import Color, all_to
from intently_release.config import ReleaseConfig
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.release.book import Book
from intently_release.release.moving import Moving
from intently_release.release.reporting import Event, Look
from intently_release.release.told import Telling
from intently_release.state import (
    History,
    ReleaseState,
    Seen,
    Slot,
    State,
    Store,
    locked,
    write_observed,
)

BLUE, GREEN = Color.BLUE, Color.GREEN
SLOT = Slot(bundle=Path("/bundles/one"), revision="1" * 64, wanted="running", moves=2)
KEPT = State(stable=GREEN, weights=all_to(GREEN), slots={BLUE: SLOT, GREEN: SLOT}, previous=BLUE)
STOPPED = KEPT.with_slot(BLUE, SLOT.model_copy(update={"wanted": "stopped"}))
ROLLED_BACK = KEPT.changed(stable=BLUE, weights=all_to(BLUE), previous=None)
RELEASED_TO = KEPT.changed(release=ReleaseState(id="7", canary=BLUE))
TOLD = Seen(pid=1, ready=True, moves=2)
UNTOLD = Seen(pid=1, ready=True, moves=1)
DEAF = Seen(pid=1, ready=True, moves=2, deaf=True)
CONFIG = ReleaseConfig.model_validate({"colors": {"blue": {"endpoints": ["127.0.0.1:50061", "127.0.0.1:50063"]}}})


@dataclass
class Open:
    """Envoy, which counts so many streams to blue, one look after the other; None where it does not answer.

    With `then`, that is what is wanted from the first look on.
    """

    store: Store
    counts: list[int | None]
    then: State | None = None
    told: list[Event] = field(default_factory=list)

    async def calls_under_way(self) -> Mapping[Color, int]:
        """None."""
        return dict.fromkeys(Color, 0)

    async def streams_open(self) -> Mapping[Color, int]:
        """The next count; the last stays."""
        if self.then is not None:
            self.store.write(self.then)
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        if count is None:
            raise ProxyProblem("Envoy does not answer")
        return {BLUE: count}

    def event(self, event: Event) -> None:
        """Keeps it."""
        self.told.append(event)

    def look(self, look: Look) -> None:
        """There is none."""


async def waited(
    folder: Path,
    counts: list[int | None],
    patience_s: float,
    then: State | None = None,
    seen: tuple[Seen, ...] = (TOLD, TOLD),
) -> Open:
    """What was told of six streams; the history's sentence is the last event's, or there is none.

    Args:
        folder: Where.
        counts, then: See `Open`.
        patience_s: How long it waits.
        seen: Blue's servers, of which there are to be two.
    """
    layout = Layout(folder)
    world = Open(Store(layout), counts, then)
    world.store.write(KEPT)
    write_observed(layout, {f"blue-{index}": each for index, each in enumerate(seen)})
    moving = Moving(Book(world.store, History(layout)), world, Telling(CONFIG, layout), world, patience_s)
    outcome = await moving.wait(BLUE, 6)
    assert outcome == tuple(event.text for event in world.told[-1:] if event.fields["ended"] != "given up")
    return world


def figures(world: Open) -> list[tuple[str, int, str | None]]:
    """What it told, how many were open then, and how it ended."""
    return [(event.kind, event.fields["open"], event.fields.get("ended")) for event in world.told]


async def test_it_ends_with_the_last_stream_also_where_envoy_falls_silent(tmp_path: Path) -> None:
    world = await waited(tmp_path, [4, None, 0], patience_s=60.0)

    assert figures(world) == [("moving", 6, None), ("moved", 0, "gone")]
    assert "6 streams are to move from blue to green" in world.told[0].text


@pytest.mark.parametrize(("count", "patience_s", "left"), [(2, 0.15, 2), (None, 0.15, 6), (2, 0.0, 6)])
async def test_patience_has_an_end(tmp_path: Path, count: int | None, patience_s: float, left: int) -> None:
    world = await waited(tmp_path, [count], patience_s)

    assert figures(world) == [("moving", 6, None), ("moved", left, "left")]
    assert f"{left} streams are still open to blue" in world.told[-1].text
    assert "pinned to it" in world.told[-1].text


@pytest.mark.parametrize("then", [STOPPED, ROLLED_BACK, RELEASED_TO])
async def test_it_ends_when_somebody_wants_something_else(tmp_path: Path, then: State) -> None:
    world = await waited(tmp_path, [5, 4], 60.0, then)

    assert figures(world) == [("moving", 6, None), ("moved", 5, "given up")]


async def test_who_is_told_to_stop_says_so(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    world = Open(Store(layout), [5])
    world.store.write(KEPT)
    write_observed(layout, {"blue-0": TOLD, "blue-1": TOLD})
    moving = Moving(Book(world.store, History(layout)), world, Telling(CONFIG, layout), world, 60.0)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(moving.wait(BLUE, 6), 0.25)

    assert figures(world) == [("moving", 6, None), ("moved", 5, "given up")]


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ((DEAF, DEAF), "blue-0 cannot be told: it does not wait for SIGUSR1"),
        ((UNTOLD, DEAF), "blue-0 is told by the next `intently-release up`: none runs now; blue-1 cannot"),
        ((), "nobody tells 127.0.0.1:50061, which no `up` runs here"),
    ],
)
async def test_it_does_not_wait_for_whom_nobody_tells(tmp_path: Path, seen: tuple[Seen, ...], why: str) -> None:
    world = await waited(tmp_path, [6], 60.0, seen=seen)

    assert figures(world) == [("moving", 6, None), ("moved", 6, "untold")]
    assert why in world.told[-1].text
    assert "pinned" not in world.told[-1].text


async def test_it_says_who_of_several_was_not_told(tmp_path: Path) -> None:
    world = await waited(tmp_path, [6], 0.15, seen=(TOLD, DEAF))

    assert figures(world) == [("moving", 6, None), ("moved", 6, "left")]
    assert "pinned to it, taking no notice, or not gone yet; blue-1 cannot be told" in world.told[-1].text


async def test_it_waits_for_who_is_to_be_told_by_up(tmp_path: Path) -> None:
    with locked(Layout(tmp_path).supervisor_lock, "intently-release up"):
        world = await waited(tmp_path, [6, 6, 0], 60.0, seen=(UNTOLD, UNTOLD))
        late = await waited(tmp_path, [6], 0.15, seen=(UNTOLD, UNTOLD))

    assert figures(world) == [("moving", 6, None), ("moved", 0, "gone")]
    assert figures(late) == [("moving", 6, None), ("moved", 6, "untold")]
    assert "blue-0 was not told yet; blue-1 was not told yet" in late.told[-1].text
