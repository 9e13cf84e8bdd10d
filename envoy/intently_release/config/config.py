"""release.yaml, whole."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import ValidationError, model_validator

from intently_release.colors import Color
from intently_release.config.base import Address, Frozen, meet, next_ports
from intently_release.config.front_ends import check_ports
from intently_release.config.listener import Listener
from intently_release.config.releasing import Releasing
from intently_release.config.servers import Colors, Servers
from intently_release.config.traffic import Traffic
from intently_release.errors import ConfigProblem


class ReleaseConfig(Frozen):
    """All that can be set.

    Attributes:
        run_dir: Holds state, xDS files, sockets and logs of this Envoy.
        metrics: Where Prometheus may ask Envoy; None closes that listener.
        listener, colors, servers, traffic, releasing: The parts.
    """

    run_dir: Path = Path("runs/release")
    metrics: Address | None = "127.0.0.1:9902"
    listener: Listener = Listener()
    colors: Colors = Colors()
    servers: Servers = Servers()
    traffic: Traffic = Traffic()
    releasing: Releasing = Releasing()

    def front_ends_of(self, color: Color) -> int:
        """Of each server of a color."""
        return self.colors.of(color).front_ends or self.servers.front_ends

    def own_addresses(self, color: Color, endpoint: str) -> tuple[str, ...]:
        """Where each front end of a color's server listens by itself; nowhere if the server has but one."""
        count = self.front_ends_of(color)
        return next_ports(endpoint, count) if count > 1 else ()

    def called_at(self, color: Color) -> tuple[str, ...]:
        """Where Envoy calls a color's servers.

        Of several front ends, each where it listens by itself: over those that share a port the kernel spreads
        connections, of which Envoy has few, and not calls.
        """
        endpoints = self.colors.of(color).endpoints
        return tuple(each for endpoint in endpoints for each in self.own_addresses(color, endpoint) or (endpoint,))

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.servers.max_wait >= self.traffic.per_try_timeout:
            raise ValueError(
                f"servers.max_wait ({self.servers.max_wait:g} s) is not below traffic.per_try_timeout "
                f"({self.traffic.per_try_timeout:g} s): retries would multiply an overload"
            )
        if self.traffic.max_concurrent_streams > self.servers.max_concurrent_streams:
            raise ValueError(
                f"traffic.max_concurrent_streams ({self.traffic.max_concurrent_streams}) is over "
                f"servers.max_concurrent_streams ({self.servers.max_concurrent_streams}): servers would refuse "
                "streams, and Envoy would take healthy ones for ill"
            )
        return self

    @model_validator(mode="after")
    def _addresses_differ(self) -> Self:
        listener = self.listener.address
        if self.metrics is not None and meet(self.metrics, listener):
            raise ValueError(f"metrics ({self.metrics}) is where callers come in: listener.address is {listener}")
        for color in Color:
            for endpoint in self.colors.of(color).endpoints:
                for name, address in (("listener.address", listener), ("metrics", self.metrics)):
                    if address is not None and meet(address, endpoint):
                        raise ValueError(
                            f"{name} ({address}) is also an endpoint of {color} ({endpoint}): Envoy and that server "
                            "cannot both listen there"
                        )
        return self

    @model_validator(mode="after")
    def _front_ends_have_ports(self) -> Self:
        endpoints = [(color, endpoint) for color in Color for endpoint in self.colors.of(color).endpoints]
        taken = [
            ("listener.address", self.listener.address),
            *((f"an endpoint of {each}", at) for each, at in endpoints),
        ]
        if self.metrics is not None:
            taken.append(("metrics", self.metrics))
        check_ports({endpoint: self.own_addresses(color, endpoint) for color, endpoint in endpoints}, taken)
        return self

    @model_validator(mode="after")
    def _times_suffice(self) -> Self:
        health, delay = self.traffic.health, self.servers.drain_delay
        if delay < (notices := health.interval * health.unhealthy_threshold):
            raise ValueError(
                f"servers.drain_delay ({delay:g} s) is below the {notices:g} s that Envoy needs to notice that a "
                "server leaves (traffic.health.interval x unhealthy_threshold): calls would go to one that refuses them"
            )
        if self.releasing.dwell > self.releasing.patience:
            raise ValueError(
                f"releasing.dwell ({self.releasing.dwell:g} s) is over releasing.patience "
                f"({self.releasing.patience:g} s): every step would be inconclusive before it is judged"
            )
        return self


def read_config(path: Path | None) -> ReleaseConfig:
    """The configuration of a file; of none, the defaults.

    Raises:
        ConfigProblem: names the file and every field that cannot be used.
    """
    if path is None:
        return ReleaseConfig()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigProblem(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigProblem(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict | None):
        raise ConfigProblem(f"{path}: must be a mapping of names to values")
    try:
        return ReleaseConfig.model_validate(document or {})
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc'])) or '(file)'}: {each['msg']}" for each in error.errors())
        raise ConfigProblem(f"{path}: {'; '.join(problems)}") from error
