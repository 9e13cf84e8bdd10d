"""Gives Envoy the files that belong to a state."""

from collections.abc import Mapping

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.state import Slot, State
from intently_release.xds.publish import publish, recover
from intently_release.xds.snapshot import render


def publish_state(config: ReleaseConfig, layout: Layout, state: State) -> None:
    """Publishes all that Envoy is started with.

    Raises:
        RenderProblem: if Envoy may not be given it; nothing has been written then.
        ProxyProblem: if there is no Envoy to ask.
    """
    recover(layout)
    publish(render(config, layout, state.weights, revisions_of(state.slots)), layout)


def revisions_of(slots: Mapping[Color, Slot]) -> dict[Color, str]:
    """What each color serves, as far as it serves and it is known."""
    return {color: slot.revision for color, slot in slots.items() if slot.revision and slot.wanted == "running"}
