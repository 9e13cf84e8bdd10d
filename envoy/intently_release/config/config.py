"""release.yaml, whole."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import ValidationError, model_validator

from intently_release.config.base import Address, Frozen
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
