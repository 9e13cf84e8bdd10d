"""The engine starts while large weights are verified, and gives nothing before."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from intently_server.bundle import Bundle, BundleError, begin_verifying, read_bundle, started_once_verified
from support.bundles import copy_bundle, spoil_weights

_SHUTDOWN_S = 3.0
_SIZE = 1 << 28  # bytes, that take a while


@dataclass
class Engine:
    """What a start gives, and what became of both."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: bool = False
    ended_within_s: float | None = None

    async def start(self, takes_s: float) -> "Engine":
        """Takes so long."""
        self.begun.set()
        try:
            await asyncio.sleep(takes_s)
        except asyncio.CancelledError:
            self.given_up = True
            raise
        return self

    async def shutdown(self, timeout_s: float) -> None:
        """Notes it."""
        self.ended_within_s = timeout_s


def damaged(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with weights that are not those of its manifest."""
    path = copy_bundle(bundle.path, folder / "bundle")
    spoil_weights(path, _SIZE)
    return read_bundle(path)


async def started(bundle: Bundle, start: Callable[[], Awaitable[Engine]], alone_s: float = 60.0) -> Engine:
    """As a server does it, which has verified small weights before it begins."""
    return await started_once_verified(await begin_verifying(bundle, alone_s), start, _SHUTDOWN_S)


async def test_an_engine_with_the_weights_of_the_manifest_is_given(bundle: Bundle) -> None:
    engine = Engine()

    assert await started(bundle, partial(engine.start, 0.0)) is engine
    assert engine.ended_within_s is None


async def test_nothing_is_started_by_small_weights_that_are_damaged(bundle: Bundle, tmp_path: Path) -> None:
    engine = Engine()

    with pytest.raises(BundleError, match="SHA-256"):
        await started(damaged(bundle, tmp_path), partial(engine.start, 0.0))

    assert not engine.begun.is_set()


@pytest.mark.parametrize("takes_s", [60.0, 0.0])
async def test_an_engine_that_began_by_large_ones_is_ended(bundle: Bundle, tmp_path: Path, takes_s: float) -> None:
    engine = Engine()

    with pytest.raises(BundleError, match="SHA-256"):
        await started(damaged(bundle, tmp_path), partial(engine.start, takes_s), alone_s=0.0)

    assert engine.begun.is_set()
    assert engine.given_up == (takes_s > 0)
    assert engine.ended_within_s == (None if takes_s else _SHUTDOWN_S)


async def test_a_start_that_fails_says_why(bundle: Bundle) -> None:
    async def fails() -> Engine:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        await started(bundle, fails)


async def test_a_start_that_fails_by_damaged_weights_says_that_they_are(bundle: Bundle, tmp_path: Path) -> None:
    async def fails() -> Engine:
        raise ValueError("what is this?")

    with pytest.raises(BundleError, match="SHA-256"):
        await started(damaged(bundle, tmp_path), fails, alone_s=0.0)


async def test_a_start_that_nobody_waits_for_is_given_up(bundle: Bundle) -> None:
    engine = Engine()
    waiting = asyncio.ensure_future(started(bundle, partial(engine.start, 60.0)))
    await engine.begun.wait()

    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert engine.given_up
