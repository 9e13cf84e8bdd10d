"""`intently-build tune` with real servers, whose engine is in memory, and the real `intently bench`."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from intently_build.cli import main
from intently_server.settings import read_settings
from support.paths import BUNDLE, ROOT

SERVER = [sys.executable, "-m", "support.in_memory_process", "--step-ms", "5", "--batch", "2"]
ARGUMENTS = ["tune", str(BUNDLE), "--slo", "p50=150ms", "--rate", "450", "--duration", "300ms", "--precision", "0.5"]


@pytest.mark.timeout(240)
def test_a_profile_is_measured_written_and_read_by_the_server_that_confirms_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("INTENTLY_MAX_RUNNING", "1")  # what is tuned comes from nowhere else
    output = tmp_path / "tuned.yaml"
    given = ("--set", "max_sequences=8", "--set", "max_batched_tokens=512")
    command = [*ARGUMENTS, *given, "--output", str(output), "--allow-limited", "--server-command", shlex.join(SERVER)]

    code = main(command)

    said = capfd.readouterr().out
    monkeypatch.delenv("INTENTLY_MAX_RUNNING")
    settings = read_settings(["--bundle", str(BUNDLE), "--profile", str(output)])
    profile = settings.tuning
    assert profile is not None
    assert (code == 0) == profile.confirmed == ("\nconfirmed: p50=150ms" in said) == ("not confirmed:" not in said)
    assert (settings.max_sequences, settings.max_batched_tokens, settings.max_running) == (8, 512, 16)
    assert settings.max_wait >= 0.15
    assert profile.tuned.bundle.name == "mini-clinc150"
    assert profile.tuned.machine.startswith("CPU ")
    assert "INTENTLY_MAX_RUNNING: left out of account" in said
    assert "chosen: 8 sequences, 512 tokens" in said
    [kept] = [
        json.loads(file.read_text()) for file in output.with_name("tuned.yaml.tuning").glob("????????????????.json")
    ]
    found = kept["trial"]["found"]
    assert found["rate"] == pytest.approx(1.5 * profile.tuned.rate, rel=0.01)
    assert found["goodput"] > 0
