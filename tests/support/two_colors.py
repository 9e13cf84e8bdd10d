"""Envoy in front of two servers whose answers tell them apart: blue serves one bundle, green another."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intently_release.colors import Color, Weights
from intently_release.config import ReleaseConfig
from intently_release.xds.publish import publish_routes
from intently_release.xds.snapshot import render
from intently_server.bundle import load_bundle
from support.envoy_process import EnvoyProcess, run_folder, running_envoy
from support.in_memory_server import InMemoryServer, in_memory_server
from support.paths import BUNDLE
from support.serving import free_address

BUNDLES = {Color.BLUE: BUNDLE, Color.GREEN: BUNDLE.with_name("mini-massive-zh")}


@dataclass(frozen=True, slots=True)
class TwoColors:
    """Both servers are healthy, to Envoy too.

    Attributes:
        revisions: What each serves.
    """

    envoy: EnvoyProcess
    servers: dict[Color, InMemoryServer]
    revisions: dict[Color, str]

    @property
    def address(self) -> str:
        """HOST:PORT of Envoy."""
        return self.envoy.address

    def shift(self, weights: Weights, mirror_to: Color | None = None, *, by_revision: bool = False) -> None:
        """Publishes routes and returns once Envoy has applied them."""
        revisions = self.revisions if by_revision else {}
        snapshot = render(self.envoy.config, self.envoy.layout, weights, revisions, mirror_to)
        self.envoy.wait_applied(publish_routes(snapshot, self.envoy.layout))


@contextlib.contextmanager
def two_colors(**config: Any) -> Iterator[TwoColors]:
    """Runs all three until the block ends; everything goes to blue.

    Args:
        config: Fields of `ReleaseConfig`; addresses are chosen where they are not given.
    """
    with run_folder() as folder, contextlib.ExitStack() as stack:
        servers = {
            color: stack.enter_context(in_memory_server(folder, name=color, bundle=bundle))
            for color, bundle in BUNDLES.items()
        }
        envoy = stack.enter_context(running_envoy(configured(folder, servers, **config), folder / "run"))
        envoy.wait_healthy(*Color)
        yield TwoColors(
            envoy, servers, {color: load_bundle(bundle).model.revision for color, bundle in BUNDLES.items()}
        )


def configured(folder: Path, servers: dict[Color, InMemoryServer], **config: Any) -> ReleaseConfig:
    """A configuration of an Envoy on free ports in front of these servers."""
    return ReleaseConfig(
        **{
            "run_dir": folder / "run",
            "metrics": free_address(),
            "colors": {color: {"endpoints": [server.address]} for color, server in servers.items()},
            **config,
            "listener": {"address": free_address(), **config.get("listener", {})},
        }
    )
