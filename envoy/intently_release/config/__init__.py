"""release.yaml as frozen models that refuse unknown keys."""

from intently_release.config.base import host_of, port_of
from intently_release.config.config import ReleaseConfig, read_config
from intently_release.config.listener import Listener, Tls
from intently_release.config.releasing import Releasing, Thresholds
from intently_release.config.servers import Colors, ColorServers, Servers
from intently_release.config.traffic import Health, Traffic

__all__ = [
    "ColorServers",
    "Colors",
    "Health",
    "Listener",
    "ReleaseConfig",
    "Releasing",
    "Servers",
    "Thresholds",
    "Tls",
    "Traffic",
    "host_of",
    "port_of",
    "read_config",
]
