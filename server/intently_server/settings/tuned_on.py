"""Says what of a profile was taken, and warns where it was measured on something else than what is served now."""

import logging

from intently_server.engine.machine import Machine
from intently_server.model import Model
from intently_server.settings import Settings

logger = logging.getLogger(__name__)


def say_what_was_taken(settings: Settings) -> None:
    """Logs a line of the settings that came from the profile, and of those that others gave."""
    profile = settings.tuning
    if profile is None:
        return
    taken = settings.of_profile()
    given = [name for name in profile.values() if name not in taken]
    told = ", ".join(f"{name} {value}" for name, value in taken.items()) or "nothing"
    others = f"; given otherwise: {', '.join(given)}" if given else ""
    logger.info(
        "profile %s (%s at %.4g/s): took %s%s", settings.profile, profile.tuned.slo, profile.tuned.rate, told, others
    )


def warn_of_differences(settings: Settings, model: Model, machine: Machine) -> None:
    """Logs a warning of what the profile was not tuned on, each named; and of a profile that was not confirmed."""
    profile = settings.tuning
    if profile is None:
        return
    tuned = profile.tuned
    if not profile.confirmed:
        logger.warning("profile %s was not seen to keep %s: tune it again", settings.profile, tuned.slo)
    bundle = f"{tuned.bundle.name} revision {tuned.bundle.revision[:12]}"
    pairs = (
        ("machine", tuned.machine, machine.hardware),
        ("vLLM", tuned.vllm, machine.vllm),
        ("bundle", bundle, f"{model.name} revision {model.revision[:12]}"),
    )
    others = [f"{what} {then}, not {now}" for what, then, now in pairs if then != now]
    if others:
        logger.warning("profile %s was tuned on another %s", settings.profile, "; ".join(others))
