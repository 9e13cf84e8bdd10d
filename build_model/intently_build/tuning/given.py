"""Settings that are given and not searched: NAME=VALUE of `--set`, and how settings become flags of the server."""

from collections.abc import Mapping, Sequence

import yaml

from intently_build.errors import BuildError
from intently_build.tuning.profile import ADMISSION_SETTINGS, ENGINE_SETTINGS

Value = int | float | bool | str


def given_settings(said: Sequence[str]) -> dict[str, Value]:
    """Returns the settings of NAME=VALUE texts; values are numbers, true, false or text.

    Raises BuildError for one that a profile may not have.
    """
    found: dict[str, Value] = {}
    for each in said:
        name, equals, text = each.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        if not equals or name not in (*ENGINE_SETTINGS, *ADMISSION_SETTINGS):
            known = ", ".join((*ENGINE_SETTINGS, *ADMISSION_SETTINGS))
            raise BuildError(f"--set {each}: must be NAME=VALUE, with one of {known}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = None
        if not isinstance(value, Value):
            raise BuildError(f"--set {each}: must have a number, true, false or a word as its value")
        found[name] = value
    return found


def as_flags(settings: Mapping[str, Value]) -> list[str]:
    """Returns settings as flags of the server."""
    return [_flag(name.replace("_", "-"), value) for name, value in settings.items()]


def _flag(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={value}"
