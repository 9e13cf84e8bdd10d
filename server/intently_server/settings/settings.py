"""All settings, put together of their groups."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import PrivateAttr
from pydantic_settings import BaseSettings, SettingsConfigDict

from intently_server.settings.admission import AdmissionSettings
from intently_server.settings.drain import DrainSettings
from intently_server.settings.engine import EngineSettings
from intently_server.settings.limits import LimitSettings
from intently_server.settings.logs import LogSettings
from intently_server.settings.profile import Profile
from intently_server.settings.security import SecuritySettings
from intently_server.settings.serving import ServingSettings
from intently_server.settings.telemetry import TelemetrySettings

ENV_PREFIX = "INTENTLY_"


class Settings(
    LogSettings,
    TelemetrySettings,
    EngineSettings,
    DrainSettings,
    LimitSettings,
    AdmissionSettings,
    SecuritySettings,
    ServingSettings,
    BaseSettings,
):
    """Serves one bundle over gRPC, with vLLM in this process.

    Every setting is a flag and an environment variable, INTENTLY_ and the flag's name in capitals with underscores
    (INTENTLY_MAX_IN_FLIGHT). A flag wins over the environment, that over --profile, and that over the default. Exit
    codes: 0 after SIGTERM or SIGINT, 1 if the engine dies or fails to start, or if front ends die too often, 2 if the
    settings or the bundle are unusable. SIGUSR1, once SERVING, tells the streams that are open to end in order, as at
    their greatest age, so that clients open them anew; nothing else changes. How many tokens a prompt may have is the
    bundle's to say, not a setting: a longer one is refused, or cut where the request allows it.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        cli_prog_name="intently-server",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        protected_namespaces=(),
    )

    _tuning: Profile | None = PrivateAttr(default=None)
    _taken: tuple[str, ...] = PrivateAttr(default=())

    def with_profile(self, profile: Profile) -> Self:
        """These, and of the profile what nobody gave a value."""
        taken = {name: value for name, value in profile.values().items() if name not in self.model_fields_set}
        made = self.model_copy(update=taken)
        made._tuning, made._taken = profile, tuple(taken)
        return made

    @property
    def tuning(self) -> Profile | None:
        """The profile that they are of; None if there is none."""
        return self._tuning

    def of_profile(self) -> Mapping[str, Any]:
        """What was taken from the profile, by name."""
        return {name: getattr(self, name) for name in self._taken}
