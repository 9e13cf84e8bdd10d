"""Settings from the command line and the environment, or what is wrong with them."""

import os
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from intently_server.settings.front_ends import check_front_ends
from intently_server.settings.problem import SettingsProblem
from intently_server.settings.profile import read_profile
from intently_server.settings.settings import ENV_PREFIX, Settings


def read_settings(arguments: Sequence[str]) -> Settings:
    """Settings from flags, the environment and a profile: the first of these that has a value gives it.

    Raises:
        SettingsProblem: names what is unknown, missing or out of range.
        SystemExit: after --help, and for a flag that does not exist.
    """
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(ENV_PREFIX) and name not in known)
    if unknown:
        raise SettingsProblem(f"unknown environment variables: {', '.join(unknown)}")
    try:
        settings = CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        problems = (f"--{'-'.join(map(str, e['loc'])).replace('_', '-')}: {e['msg']}" for e in error.errors())
        raise SettingsProblem("; ".join(problems)) from error
    except SettingsError as error:
        raise SettingsProblem(str(error)) from error
    if settings.profile is not None:
        settings = settings.with_profile(read_profile(settings.profile, frozenset(Settings.model_fields)))
    check_front_ends(settings)
    return settings
