"""A profile: settings of engine and admission, with what they were measured on; `intently-build tune` writes it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intently_server.settings.admission import AdmissionSettings
from intently_server.settings.engine import EngineSettings
from intently_server.settings.problem import SettingsProblem

_LARGEST_BYTES = 65_536  # a profile is a page: whatever is larger is another file, named by mistake


class _Part(BaseModel):
    """Of a profile: frozen, and a key that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileSettings(EngineSettings, AdmissionSettings):
    """What a profile may set: nothing that opens a port, or says who may call. Numbers must be numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TunedBundle(_Part):
    """The bundle that was measured; `format` says how its weights are stored."""

    name: str
    revision: str
    format: str


class Tuned(_Part):
    """What a profile was measured on.

    Attributes:
        date: When.
        machine: The GPU, or the CPU and its cores: as `Machine.hardware` has it.
        vllm: Its distribution and version: as `Machine.vllm` has it.
        bundle: What was served.
        slo: The latency that was to be met, such as p99=82ms.
        rate: Requests a second at which it was, as far as `confirmed` says so.
    """

    date: datetime
    machine: str
    vllm: str
    bundle: TunedBundle
    slo: str
    rate: Annotated[float, Field(gt=0)]


class Profile(_Part):
    """A file of them.

    Attributes:
        format: Of the file.
        confirmed: Whether all settings together were seen to keep the latency at that rate.
        settings: Those that are named, and no others, take the place of defaults.
        tuned: What they were measured on.
    """

    format: Literal[1]
    confirmed: bool
    settings: ProfileSettings
    tuned: Tuned

    def values(self) -> dict[str, Any]:
        """The settings that it names."""
        return {name: getattr(self.settings, name) for name in sorted(self.settings.model_fields_set)}


def read_profile(path: Path, known: frozenset[str] = frozenset()) -> Profile:
    """The profile in a file.

    Args:
        path: Of the file.
        known: Names of all settings, to tell one that no profile may have from one that does not exist.

    Raises:
        SettingsProblem: names the file, and each key that is missing, unknown or out of range.
    """
    content = _content(path)
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_problem(each, known) for each in error.errors(include_url=False))
        raise SettingsProblem(f"--profile {path}: {problems}") from error


def _content(path: Path) -> object:
    import yaml  # only who has a profile needs it

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES + 1)
        if len(text) > _LARGEST_BYTES:
            raise SettingsProblem(f"--profile {path}: larger than {_LARGEST_BYTES} bytes, so no profile")
        return yaml.safe_load(text.decode())
    except OSError as error:
        raise SettingsProblem(f"--profile {path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsProblem(f"--profile {path}: not YAML: {' '.join(str(error).split())}") from error


def _problem(error: Any, known: frozenset[str]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the profile"
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg']}"
    section, _, name = where.partition(".")
    if section == "settings" and name in known:
        return f"{where}: not of the engine or of admission, and a profile sets nothing else"
    return f"{where}: not known"
