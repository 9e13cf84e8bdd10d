"""Moving traffic: an Envoy that is being started again is waited for, and all of its routes are compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from intently_release.colors import Color, all_to, split
from intently_release.config import ReleaseConfig
from intently_release.errors import ProxyProblem
from intently_release.layout import Layout
from intently_release.proxy.admin import Applied, EnvoyAdmin
from intently_release.release.shifting import Shifting
from intently_release.state.state import Slot, State
from intently_release.state.store import Store
from intently_release.xds.snapshot import render

SLOTS = {color: Slot(bundle=Path("/bundles/one"), revision=f"{color}-1", wanted="running") for color in Color}
STATE = State(stable=Color.BLUE, weights=all_to(Color.BLUE), slots=SLOTS)


class Restarting(EnvoyAdmin):
    """An Envoy that uses what is published, and cannot be reached so many times before."""

    def __init__(self, layout: Layout, away: int = 0) -> None:
        super().__init__(layout.admin_socket)
        self._rds = layout.xds("rds")
        self.away = away

    async def applied(self) -> Applied:
        """What is published."""
        if self.away:
            self.away -= 1
            raise ProxyProblem("it is being started again")
        document = json.loads(self._rds.read_text())
        shares = {name: each for each in _weighted(document) for name in [each["name"].removesuffix("-first")]}
        return Applied(document["version_info"], {color: shares[str(color)]["weight"] for color in Color})


def _weighted(document: object) -> list[dict[str, Any]]:
    """All clusters that have a weight."""
    if isinstance(document, dict):
        below = [found for each in document.values() for found in _weighted(each)]
        return [document, *below] if {"name", "weight"} <= document.keys() else below
    return [found for each in document for found in _weighted(each)] if isinstance(document, list) else []


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Envoy was given the routes of STATE."""
    layout = Layout(tmp_path)
    snapshot = render(ReleaseConfig(), layout, STATE.weights, STATE.revisions)
    layout.xds("rds").parent.mkdir(parents=True)
    layout.xds("rds").write_text(json.dumps(snapshot.rds))
    return layout


def shifting(layout: Layout, admin: EnvoyAdmin) -> Shifting:
    """Moves the traffic of this Envoy."""
    return Shifting(ReleaseConfig(), layout, Store(layout), admin)


async def test_an_envoy_that_is_started_again_is_waited_for(layout: Layout) -> None:
    admin, wanted = Restarting(layout, away=20), STATE.with_weights(split(Color.GREEN, 25))

    await shifting(layout, admin).to(wanted)

    assert (admin.away, Store(layout).read()) == (0, wanted)
    assert await shifting(layout, admin).follows(wanted)


async def test_routes_of_another_share_or_of_a_stopped_color_do_not_follow(layout: Layout) -> None:
    moves = shifting(layout, Restarting(layout))
    stopped = STATE.with_slot(Color.GREEN, SLOTS[Color.GREEN].model_copy(update={"wanted": "stopped"}))

    assert await moves.follows(STATE)
    assert not await moves.follows(STATE.with_weights(split(Color.GREEN, 25)))
    assert not await moves.follows(stopped)


async def test_an_envoy_that_cannot_be_asked_is_not_said_to_follow(layout: Layout) -> None:
    with pytest.raises(ProxyProblem):
        await shifting(layout, Restarting(layout, away=1)).follows(STATE)
