"""Settings from the command line and the environment, or what is wrong with them."""

import os
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from intently_server.settings.settings import ENV_PREFIX, Settings


class SettingsProblem(Exception):
    """Settings that cannot be used; the text names each of them."""


def read_settings(arguments: Sequence[str]) -> Settings:
    """Settings from flags and environment.

    Raises:
        SettingsProblem: names what is unknown, missing or out of range.
        SystemExit: after --help, and for a flag that does not exist.
    """
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(ENV_PREFIX) and name not in known)
    if unknown:
        raise SettingsProblem(f"unknown environment variables: {', '.join(unknown)}")
    try:
        return CliApp.run(Settings, cli_args=list(arguments))
    except ValidationError as error:
        problems = (f"--{'-'.join(map(str, e['loc'])).replace('_', '-')}: {e['msg']}" for e in error.errors())
        raise SettingsProblem("; ".join(problems)) from error
    except SettingsError as error:
        raise SettingsProblem(str(error)) from error
