"""A plan's KV cache is vLLM's: by vLLM's own functions for large shapes, and by what a running engine logs."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from intently_build.planning.memory import kv_cache
from intently_build.planning.shapes import PUBLISHED, Shape, shape_of
from support.paths import BUNDLE, ROOT
from support.server_process import running_server

pytestmark = pytest.mark.engine

GIB = 1 << 30
CPU_BLOCK = 32  # tokens of a block of the KV cache on a CPU
PROGRAM = ROOT / "tests" / "support" / "vllm_kv_cache.py"


@dataclass(frozen=True)
class Case:
    """A shape, and how its cache is set."""

    shape: Shape
    dtype: str
    longest: int
    block_tokens: int
    memory: int


CASES = (
    Case(PUBLISHED["qwen2.5-7b"], "bfloat16", 1024, 16, 20_000_000_000),
    Case(PUBLISHED["qwen2.5-0.5b"], "float32", 1000, 32, 3 * GIB + 1),
    Case(PUBLISHED["qwen2.5-32b"], "float16", 4100, 64, 30 * GIB),
)


def write_config(shape: Shape, folder: Path) -> str:
    """Writes the config.json of a classifier of this shape."""
    folder.mkdir()
    config = {
        "architectures": ["Qwen2ForSequenceClassification"],
        "model_type": "qwen2",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": 32_768,
        "id2label": {"0": "a", "1": "b"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_large_shapes_have_the_cache_that_vllm_computes(tmp_path: Path) -> None:
    asked = [
        (write_config(case.shape, tmp_path / case.shape.name), case.dtype, case.longest, case.block_tokens, case.memory)
        for case in CASES
    ]
    done = subprocess.run(
        [sys.executable, PROGRAM],
        input=json.dumps(asked),
        env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout.splitlines()[-1])
    planned = [kv_cache(case.shape, case.dtype, case.block_tokens, case.memory) for case in CASES]
    assert reported == [
        {"blocks": cache.blocks, "tokens": cache.tokens(case.longest)}
        for cache, case in zip(planned, CASES, strict=True)
    ]


def test_a_running_engine_logs_the_cache_that_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "INFO")
    with running_server(BUNDLE, tmp_path) as server:
        log = server.log.read_text(errors="replace")
    found = re.search(r"KV cache size: ([\d,]+) tokens, Maximum concurrency for ([\d,]+) tokens", log)
    assert found, log
    tokens, longest = (int(number.replace(",", "")) for number in found.groups())
    assert tokens == kv_cache(shape_of(BUNDLE), "bfloat16", CPU_BLOCK, GIB).tokens(longest)
