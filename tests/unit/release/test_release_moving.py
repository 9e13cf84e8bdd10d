"""Waiting for the streams of a color that is kept: until they are gone, as long as there is patience, and no longer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from intently_release.colors import Color, all_to
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.release.book import Book
from intently_release.release.moving import Moving
from intently_release.release.reporting import Event, Look
from intently_release.state import History, ReleaseState, Slot, State, Store

BLUE, GREEN = Color.BLUE, Color.GREEN
SLOT = Slot(bundle=Path("/bundles/one"), revision="1" * 64, wanted="running")
KEPT = State(stable=GREEN, weights=all_to(GREEN), slots={BLUE: SLOT, GREEN: SLOT}, previous=BLUE)
STOPPED = KEPT.with_slot(BLUE, SLOT.model_copy(update={"wanted": "stopped"}))
ROLLED_BACK = KEPT.changed(stable=BLUE, weights=all_to(BLUE), previous=None)
RELEASED_TO = KEPT.changed(release=ReleaseState(id="7", canary=BLUE))


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


async def waited(folder: Path, counts: list[int | None], patience_s: float, then: State | None = None) -> Open:
    """What was told of six streams; the history's sentence is the last event's, or there is none."""
    layout = Layout(folder)
    world = Open(Store(layout), counts, then)
    world.store.write(KEPT)
    outcome = await Moving(Book(world.store, History(layout)), world, world, patience_s).wait(BLUE, 6)
    assert outcome == tuple(event.text for event in world.told if event.kind == "moved")
    return world


def figures(world: Open) -> list[tuple[str, int]]:
    """What it told, and how many were open then."""
    return [(event.kind, event.fields["open"]) for event in world.told]


async def test_it_ends_with_the_last_stream_also_where_envoy_falls_silent(tmp_path: Path) -> None:
    world = await waited(tmp_path, [4, None, 0], patience_s=60.0)

    assert figures(world) == [("moving", 6), ("moved", 0)]
    assert "6 streams are told to move from blue to green" in world.told[0].text


@pytest.mark.parametrize(("count", "patience_s", "left"), [(2, 0.15, 2), (None, 0.15, 6), (2, 0.0, 6)])
async def test_patience_has_an_end(tmp_path: Path, count: int | None, patience_s: float, left: int) -> None:
    world = await waited(tmp_path, [count], patience_s)

    assert figures(world) == [("moving", 6), ("moved", left)]
    assert f"{left} streams are still open to blue" in world.told[-1].text


@pytest.mark.parametrize("then", [STOPPED, ROLLED_BACK, RELEASED_TO])
async def test_it_ends_without_a_word_when_somebody_wants_something_else(tmp_path: Path, then: State) -> None:
    assert figures(await waited(tmp_path, [6], 60.0, then)) == [("moving", 6)]
