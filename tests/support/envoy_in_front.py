"""Envoy in front of servers, set up as for a release."""

import contextlib
from collections.abc import Iterator
from typing import Any

from intently_release.colors import Color
from intently_release.config import ReleaseConfig
from support.envoy_process import EnvoyProcess, run_folder, running_envoy
from support.serving import free_address


@contextlib.contextmanager
def envoy_in_front_of(*addresses: str, **traffic: Any) -> Iterator[EnvoyProcess]:
    """Runs it until the block ends; yields once it sends calls to those servers.

    Args:
        addresses: HOST:PORT of each server.
        traffic: Settings of `traffic`.
    """
    with run_folder() as folder:
        config = ReleaseConfig(
            run_dir=folder,
            metrics=None,
            listener={"address": free_address()},
            colors={Color.BLUE: {"endpoints": [*addresses]}, Color.GREEN: {"endpoints": [free_address()]}},
            traffic=traffic,
        )
        with running_envoy(config, folder) as envoy:
            envoy.wait_healthy(Color.BLUE)
            yield envoy
