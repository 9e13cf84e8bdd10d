"""What a release needs of whoever moves traffic, and of whoever judges it."""

from collections.abc import Mapping
from typing import Protocol

from intently_release.colors import Color
from intently_release.release.judgement import Judgement
from intently_release.release.packaged import Packaged
from intently_release.state.state import State


class Traffic(Protocol):
    """Moves traffic."""

    async def must_be_possible(self) -> None:
        """Raises ProxyProblem if there is no Envoy to move traffic with."""

    async def to(self, state: State, mirror_to: Color | None = None) -> float:
        """Makes a state the wanted one, and returns once new calls go by it: after how many seconds."""

    async def follows(self, state: State) -> bool:
        """Whether new calls go by this state."""

    async def serves(self, color: Color) -> bool:
        """Whether Envoy holds a server of this color for healthy."""


class Counting(Protocol):
    """Counts what is under way."""

    async def calls_under_way(self) -> Mapping[Color, int]:
        """Calls that are no streams, by color; a color of which nothing is known is left out."""

    async def streams_open(self) -> Mapping[Color, int]:
        """Streams, likewise."""


class Ready(Protocol):
    """Waits for servers."""

    async def wait(self, color: Color, packaged: Packaged) -> float:
        """Returns once a color serves a bundle: after how many seconds. Raises ServerProblem if it will not."""


class Judge(Protocol):
    """Judges a canary by what Envoy counts."""

    async def step(self, name: str, state: State, canary: Color) -> Judgement:
        """Judges it while it has a share."""

    async def watch(self, name: str, state: State, canary: Color, seconds: float) -> Judgement:
        """Watches it for so long: too few calls are no reason against it."""

    async def streams(self, color: Color) -> int:
        """How many streams are open to a color; 0 where nobody can tell."""

    async def wait_idle(self, color: Color, within_s: float) -> bool:
        """Returns once a color has no calls under way; False if that takes too long."""
