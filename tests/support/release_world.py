"""Envoy, the servers and the files of a release, as far as its commands see them, and the moment they are killed at."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from intently_release.colors import Color, Weights
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.release.book import Book
from intently_release.release.judgement import Finding, Judgement
from intently_release.release.packaged import Packaged
from intently_release.release.reporting import Event, Look
from intently_release.state.history import Entry, History
from intently_release.state.state import State
from intently_release.state.store import Store

Routed = tuple[Weights, dict[Color, str], Color | None]
"""What Envoy goes by: weights, revisions that may be pinned, and who gets copies."""


class Killed(BaseException):
    """As by kill -9: nothing of the program runs after it."""


@dataclass
class World:
    """Both colors, and an Envoy that does as it is told.

    Attributes:
        layout: Where the state lies; Envoy routes by it in the beginning.
        bad_from: The share from which on the canary is bad; over 100 for a good one.
        kill_at: How many changes are made, to files or to Envoy, before the kill; None for none.
        streams_each: Streams that are open to each color, whatever happens.
        deaf_at: Which of the moves Envoy does not take up, counted from 0.
        judged: Shares at which the canary was looked at, and what was found.
        shares: What Envoy gave green, one after the other.
    """

    layout: Layout
    bad_from: int = 101
    stable_serves: bool = True
    idle: bool = True
    streams_each: int = 0
    finding: Finding | None = None
    kill_at: int | None = None
    deaf_at: frozenset[int] = frozenset()
    changes: int = 0
    moves: int = 0
    judged: list[tuple[str, int, Finding]] = field(default_factory=list)
    shares: list[int] = field(default_factory=list)
    routed: Routed | None = None

    def __post_init__(self) -> None:
        state = Store(self.layout).read()
        assert state is not None
        self.routed = _routes(state)

    @property
    def book(self) -> Book:
        """Writes until the kill."""
        return Book(_DyingStore(self), _DyingHistory(self))

    def change(self) -> None:
        """Counts one; kills if it would be one too many."""
        if self.kill_at is not None and self.changes >= self.kill_at:
            raise Killed
        self.changes += 1

    async def must_be_possible(self) -> None:
        """It is."""

    async def follows(self, state: State) -> bool:
        """Whether it was told so, and heard it."""
        return self.routed == _routes(state)

    async def to(self, state: State, mirror_to: Color | None = None) -> float:
        """Writes, and then moves."""
        self.book.write(state)
        deaf, self.moves = self.moves in self.deaf_at, self.moves + 1
        if deaf:
            raise ProxyProblem("Envoy did not take up the routes")
        self.change()
        self.routed = _routes(state, mirror_to)
        self.shares.append(state.weights[Color.GREEN])
        return 0.0

    async def serves(self, color: Color) -> bool:
        """Green always does."""
        return color is Color.GREEN or self.stable_serves

    async def calls_under_way(self) -> Mapping[Color, int]:
        """None, or one of each."""
        return dict.fromkeys(Color, 0 if self.idle else 1)

    async def streams_open(self) -> Mapping[Color, int]:
        """As many to each color."""
        return dict.fromkeys(Color, self.streams_each)

    async def streams(self, color: Color) -> int:
        """The same."""
        return (await self.streams_open())[color]

    async def wait(self, color: Color, packaged: Packaged) -> float:
        """At once."""
        del color, packaged
        return 0.0

    async def step(self, name: str, state: State, canary: Color) -> Judgement:
        """As bad as it is."""
        share = state.weights[canary]
        found = self.finding or (Finding.BAD if share >= self.bad_from else Finding.GOOD)
        self.judged.append((name, share, found))
        return Judgement(found, (f"{found} at {share} %.",))

    async def watch(self, name: str, state: State, canary: Color, seconds: float) -> Judgement:
        """As bad as it is."""
        del seconds
        return await self.step(name, state, canary)

    async def wait_idle(self, color: Color, within_s: float) -> bool:
        """Whether it is."""
        del color, within_s
        return self.idle

    def event(self, event: Event) -> None:
        """Nobody looks."""

    def look(self, look: Look) -> None:
        """Nobody looks."""


class _DyingStore(Store):
    def __init__(self, world: World) -> None:
        super().__init__(world.layout)
        self._world = world

    def write(self, state: State) -> None:
        self._world.change()
        super().write(state)


class _DyingHistory(History):
    def __init__(self, world: World) -> None:
        super().__init__(world.layout)
        self._world = world

    def append(self, entry: Entry) -> None:
        self._world.change()
        super().append(entry)


def _routes(state: State, mirror_to: Color | None = None) -> Routed:
    return state.weights, state.revisions, mirror_to
