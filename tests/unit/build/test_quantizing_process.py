"""A tool that is missing, fails, fills the disk or is interrupted: one clear line, and nothing where a result belongs.

Stand-ins for the build environment's Python play the tools; tests/integration has the real ones.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intently_build.cli import main
from unit.build.toy_checkpoint import write_toy

LONGEST = 60.0  # seconds


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "toy")


def environment(folder: Path, script: str) -> Path:
    """A build environment that has llmcompressor, whose Python does as `script` says."""
    package = folder / "lib" / "python3.11" / "site-packages" / "llmcompressor"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return folder


def left(tmp_path: Path) -> set[str]:
    """What lies beside the toy checkpoint."""
    return {path.name for path in tmp_path.iterdir()} - {"toy", "env"}


def test_without_the_tool_the_line_says_what_installs_it(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTENTLY_BUILD_ENV", str(tmp_path / "env"))
    assert main(["quantize", str(toy), "--to", "fp8", "--output", str(tmp_path / "new")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "llmcompressor is neither installed here nor in" in line
    assert "`make build-env` installs it" in line
    assert not left(tmp_path)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo starting; echo 'the layer is too odd' >&2; exit 3", "exit code 3: the layer is too odd (see "),
        (
            "echo 'I/O error: No space left on device (os error 28)' >&2; exit 1",
            "the disk is full; nothing was written",
        ),
    ],
)
def test_a_tool_that_fails_is_one_line(
    script: str,
    says: str,
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INTENTLY_BUILD_ENV", str(environment(tmp_path / "env", script)))
    assert main(["quantize", str(toy), "--to", "fp8", "--output", str(tmp_path / "new")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert says in line
    assert left(tmp_path) == {"new.quantize.log"}


def test_an_interrupt_ends_the_tool_and_leaves_nothing(toy: Path, tmp_path: Path) -> None:
    env = environment(tmp_path / "env", f"echo $$ > {tmp_path}/env/pid; cat > /dev/null")  # until its input is closed
    command = [sys.executable, "-m", "intently_build.cli", "quantize", str(toy), "--to", "fp8"]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "new")],
        env=os.environ | {"INTENTLY_BUILD_ENV": str(env)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + LONGEST
    while not (env / "pid").exists() or not (env / "pid").read_text().strip():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (tmp_path / ".new.partial").exists()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert said == "intently-build: stopped; run it again to go on\n"
    assert left(tmp_path) <= {"new.quantize.log"}
    assert not Path(f"/proc/{(env / 'pid').read_text().strip()}").exists()


def test_a_folder_in_the_way_is_kept(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    assert main(["quantize", str(toy), "--to", "fp8", "--output", str(tmp_path / "new")]) == 2
    assert "new: exists; give --replace" in capsys.readouterr().err
    assert (tmp_path / "new" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "int8"], "--to int8 looks at rows while it quantizes: give --calibration ROWS.jsonl"),
        (["--to", "int8", "--samples", "0"], "--samples 0: must be at least 1"),
        (["--to", "gptq-int4"], "--group-size 64 divides every layer"),
    ],
)
def test_a_wrong_argument_is_one_line(
    arguments: list[str], says: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", str(toy), *arguments, "--output", str(tmp_path / "new")]) == 2
    assert says in capsys.readouterr().err
    assert not left(tmp_path)
