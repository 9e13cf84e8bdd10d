"""The server's settings: one list for flags, environment, defaults and --help, in groups of one subject each."""

from intently_server.settings.front_ends import part_of_bound
from intently_server.settings.problem import SettingsProblem
from intently_server.settings.profile import Profile
from intently_server.settings.read import read_settings
from intently_server.settings.settings import Settings

__all__ = ["Profile", "Settings", "SettingsProblem", "part_of_bound", "read_settings"]
