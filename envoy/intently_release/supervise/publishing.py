"""Gives Envoy the files that belong to a state."""

from intently_release.config import ReleaseConfig
from intently_release.layout import Layout
from intently_release.state import State
from intently_release.xds.publish import publish, recover
from intently_release.xds.snapshot import render


def publish_state(config: ReleaseConfig, layout: Layout, state: State) -> None:
    """Publishes all that Envoy is started with.

    Raises:
        RenderProblem: if Envoy may not be given it; nothing has been written then.
        ProxyProblem: if there is no Envoy to ask.
    """
    recover(layout)
    publish(render(config, layout, state.weights, state.revisions), layout)
