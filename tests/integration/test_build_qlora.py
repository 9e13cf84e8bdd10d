"""QLoRA on the CPU: an adapter is trained on a base in 4 bits in .venv-build, and goes on its way to a bundle here."""

import json
import subprocess
from pathlib import Path

import pytest

from intently_build.bundles.verify import verify
from intently_build.cli import main
from intently_build.quantizing.environment import here
from support.tiny_build import make_base, make_recipe

COMMAND = here().build / "bin" / "intently-build"
LIMIT = 120.0  # seconds: importing all that is beside bitsandbytes takes most of them

pytestmark = [
    pytest.mark.quantizing,
    pytest.mark.skipif(not COMMAND.exists(), reason="bitsandbytes is not installed: make build-env"),
]


def test_an_adapter_of_a_base_in_four_bits_is_merged_into_the_base_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = make_base(tmp_path / "base", codes=3)
    before = (base / "model.safetensors").read_bytes()
    adapt = {"base": str(base), "lora": {"r": 4, "quantized_base": True}}
    training = {"epochs": 1, "batch_size": 24, "learning_rate": 0.003}
    recipe, run = make_recipe(tmp_path / "recipe", adapt=adapt, training=training), tmp_path / "run"
    arguments = [str(recipe), "--output", str(run), "--device", "cpu"]
    trained = subprocess.run(
        [str(COMMAND), "adapt", *arguments], capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert trained.returncode == 0, trained.stderr
    made = json.loads((run / "adapter" / "training.json").read_text())
    assert made["parameters"] == 59904  # four bits are half a byte: the packed weights are fewer
    assert "bitsandbytes" in made["tools"]
    assert main(["run", *arguments]) == 0
    assert "[1/4] adapt: done before" in capsys.readouterr().out
    assert verify(run / "bundle") == []
    assert (base / "model.safetensors").read_bytes() == before
