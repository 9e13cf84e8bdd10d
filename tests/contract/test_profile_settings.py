"""What `intently-build tune` writes is what `intently-server --profile` reads."""

from datetime import UTC, datetime
from pathlib import Path

from intently_build.tuning.profile import (
    ADMISSION_SETTINGS,
    ENGINE_SETTINGS,
    Profile,
    Tuned,
    TunedBundle,
    write_profile,
)
from intently_build.tuning.rule import DEFAULT_RUNNING, LARGEST_BATCH, Limits
from intently_server.settings import Settings, read_settings
from intently_server.settings.admission import AdmissionSettings
from intently_server.settings.engine import EngineSettings

LIMITS = Limits(max_running=128, max_wait=0.25, max_in_flight=512, max_queued_tokens=20_000)


def test_both_know_the_same_settings() -> None:
    assert set(ENGINE_SETTINGS) == set(EngineSettings.model_fields)
    assert set(ADMISSION_SETTINGS) == set(AdmissionSettings.model_fields) == set(LIMITS.settings())


def test_the_defaults_that_the_rule_goes_by_are_the_servers() -> None:
    assert Settings.model_fields["max_running"].default == DEFAULT_RUNNING
    assert Settings.model_fields["max_batch_size"].default == LARGEST_BATCH


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, bundle = tmp_path / "tuned.yaml", TunedBundle(name="mini", revision="0123", format="bfloat16")
    date = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    tuned = Tuned(date=date, machine="CPU: 8 cores", vllm="vllm 1", bundle=bundle, slo="p99=82ms", rate=900.0)
    settings = {"max_sequences": 64, "kv_cache_gib": 8, "enforce_eager": True, "dtype": "float32", **LIMITS.settings()}
    write_profile(path, Profile(confirmed=True, settings=settings, tuned=tuned))

    read = read_settings(["--bundle", "b", "--profile", str(path)])

    assert read.of_profile() == settings
    assert read.tuning is not None
    assert read.tuning.confirmed
    assert read.tuning.tuned.model_dump() == tuned.model_dump()
