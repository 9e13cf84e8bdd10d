"""The server's settings for peers of it: as flags, and as the configuration of vLLM for engines without a server."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from intently_server.bundle import Bundle
from intently_server.settings import Settings


def vllm_config(settings: Settings, bundle: Bundle) -> Any:
    """A `VllmConfig`, without metrics. Imports vLLM, which reads the environment: `prepare_environment` comes first."""
    config = importlib.import_module("intently_server.engine.vllm_config").VllmConfig
    own = {
        "checkpoint": bundle.path,
        "labels": bundle.model.labels,
        "max_input_tokens": bundle.model.limits.max_input_tokens,
        "name": bundle.model.name,
        "metrics": False,
    }
    shared = [field.name for field in dataclasses.fields(config) if field.name not in own]
    return config(**own, **{name: getattr(settings, name) for name in shared})


def as_flags(settings: Mapping[str, str]) -> list[str]:
    """Settings as flags of the server."""
    flags = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        on_or_off = {"true": [flag], "false": [flag.replace("--", "--no-", 1)]}
        flags += on_or_off.get(value, [flag, value])
    return flags
