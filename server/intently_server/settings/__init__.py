"""The server's settings: one list for flags, environment, defaults and --help, in groups of one subject each."""

from intently_server.settings.read import SettingsProblem, read_settings
from intently_server.settings.settings import Settings

__all__ = ["Settings", "SettingsProblem", "read_settings"]
