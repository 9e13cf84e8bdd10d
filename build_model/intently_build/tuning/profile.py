"""The profile that `intently-server --profile` reads: engine and admission settings, and what they were measured on."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from intently_build.errors import BuildError
from intently_build.evaluation.report.json_report import write_text

HEADER = (
    "# Written by intently-build tune. intently-server --profile FILE takes these settings where nobody gives others."
)

ENGINE_SETTINGS = (
    "dtype",
    "max_batched_tokens",
    "max_sequences",
    "kv_cache_gib",
    "gpu_memory_utilization",
    "tensor_parallel_size",
    "data_parallel_size",
    "executor",
    "max_cudagraph_tokens",
    "enforce_eager",
    "async_scheduling",
)
ADMISSION_SETTINGS = ("max_in_flight", "max_running", "max_queued_tokens", "max_wait")


class _Part(BaseModel):
    """Of a profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TunedBundle(_Part):
    """The bundle that was measured; `format` says how its weights are stored."""

    name: str
    revision: str
    format: str


class Tuned(_Part):
    """What was measured: on what, for which latency, and the rate in calls a second that the profile promises."""

    date: datetime
    machine: str
    vllm: str
    bundle: TunedBundle
    slo: str
    rate: float


class Profile(_Part):
    """A profile; `confirmed` says whether all of it together kept the latency at the rate."""

    format: Literal[1] = 1
    confirmed: bool
    settings: dict[str, Any]
    tuned: Tuned


def check_may_be_written(path: Path) -> None:
    """Raises BuildError if something else than a profile stands there."""
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(HEADER):
            raise BuildError(f"{path}: is there, and no profile; give another --output")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: is there, and no profile: {error}; give another --output") from error


def write_profile(path: Path, profile: Profile) -> None:
    """Writes it, so that no reader sees half of it. Raises BuildError."""
    text = yaml.safe_dump(profile.model_dump(), sort_keys=False, allow_unicode=True, width=120)
    try:
        write_text(path, f"{HEADER}\n{text}")
    except OSError as error:
        raise BuildError(f"{path}: cannot write the profile: {error.strerror}") from error
