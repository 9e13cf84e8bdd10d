"""What the tests of releases share: one place that a keeper keeps, and what its programs tell."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from intently_release.supervise.backoff import Backoff
from intently_release.supervise.keeper import Keeper
from intently_release.supervise.place import Place


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """What the programs touch once they run, and may count in what they are told."""
    return tmp_path / "ready"


@pytest.fixture
def keeper(tmp_path: Path, ready: Path) -> Iterator[Keeper]:
    """Keeps a place whose processes have a tenth of a second to end. Kills what is left there."""

    async def is_ready() -> bool:
        return ready.exists()  # noqa: ASYNC240  # as servers tell it

    place = Place("blue-0", tmp_path / "log", is_ready, lambda: ready.unlink(missing_ok=True), None, 0.1, 0.1)
    made = Keeper(place, Backoff(0.05, 0.05))
    yield made
    if (pid := made.seen().pid) is not None:
        os.killpg(pid, signal.SIGKILL)
