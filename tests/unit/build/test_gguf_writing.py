"""A GGUF file read again by gguf's own reader: the checkpoint's tensors and tokens, and an output that names labels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Qwen2ForCausalLM

from intently_build.errors import BuildError
from intently_build.gguf_export.gguf_type import GgufType, find_type
from intently_build.gguf_export.matrices import output_rows, values
from intently_build.gguf_export.vocabulary import Vocabulary, read_vocabulary
from intently_build.head import cut_head
from intently_build.quantizing.checkpoint import Checkpoint, read_checkpoint
from intently_build.rows import file_sha256
from support.tiny_build import make_base

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed here")

LABELS = ("timer", "weather", "balance")
Floats = NDArray[np.float32]


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("causal") / "base"
    return read_checkpoint(make_base(folder, layers=2, tied=request.param, codes=len(LABELS)))


@pytest.fixture(scope="module")
def code_ids(source: Checkpoint) -> tuple[int, ...]:
    tokens = json.loads((source.folder / "tokenizer.json").read_text())["added_tokens"]
    return tuple(token["id"] for token in tokens if token["content"].startswith("<|code_"))


@pytest.fixture(scope="module")
def vocabulary(source: Checkpoint, code_ids: tuple[int, ...]) -> Vocabulary:
    return read_vocabulary(source.folder, source.config, code_ids)


@pytest.fixture
def written(
    source: Checkpoint, vocabulary: Vocabulary, code_ids: tuple[int, ...], tmp_path: Path
) -> Callable[[str], Path]:
    """Writes the checkpoint in some type, and returns the file."""

    def write(name: str) -> Path:
        from intently_build.gguf_export.writing import write_gguf

        path = tmp_path / f"{name}.gguf"
        write_gguf(path, source, "toy", vocabulary, code_ids, find_type(name))
        return path

    return write


def tensors(path: Path) -> dict[str, tuple[str, Floats]]:
    """Returns type and values of each tensor of a file, in the layout of the checkpoint."""
    return {
        tensor.name: (
            tensor.tensor_type.name,
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(reversed(tensor.shape.tolist()))),
        )
        for tensor in gguf.GGUFReader(path).tensors
    }


def fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def named(layer: str, source: Checkpoint) -> Floats:
    return values(source, f"model.layers.1.{layer}")


def test_every_tensor_is_the_checkpoints(source: Checkpoint, written: Callable[[str], Path]) -> None:
    found = tensors(written("f16"))
    for name, layer in (
        ("blk.1.attn_q.weight", "self_attn.q_proj.weight"),
        ("blk.1.attn_output.weight", "self_attn.o_proj.weight"),
        ("blk.1.ffn_down.weight", "mlp.down_proj.weight"),
    ):
        assert found[name][0] == "F16"
        assert np.array_equal(found[name][1], named(layer, source).astype(np.float16))
    for name, layer in (
        ("blk.1.attn_k.bias", "self_attn.k_proj.bias"),
        ("blk.1.attn_norm.weight", "input_layernorm.weight"),
    ):
        assert found[name][0] == "F32"
        assert np.array_equal(found[name][1], named(layer, source))
    assert np.array_equal(found["token_embd.weight"][1], values(source, "model.embed_tokens.weight").astype(np.float16))
    assert len(found) == 2 * 12 + 3  # layers; embeddings, last norm, output


def test_eight_bits_are_within_half_a_step(source: Checkpoint, written: Callable[[str], Path]) -> None:
    kind, found = tensors(written("q8_0"))["blk.1.ffn_up.weight"]
    wanted = named("mlp.up_proj.weight", source)
    steps = np.abs(wanted.reshape(-1, 32)).max(axis=1, keepdims=True) / 127
    assert kind == "Q8_0"
    assert (np.abs(found - wanted).reshape(-1, 32) <= 0.5 * steps + 1e-3 * np.abs(wanted).reshape(-1, 32)).all()


def test_the_output_answers_with_a_label_whatever_was_said(source: Checkpoint, code_ids: tuple[int, ...]) -> None:
    head = source.head or "model.embed_tokens.weight"
    states = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    labels = states @ values(source, head)[list(code_ids)].T
    everything = states @ output_rows(source, code_ids).T
    assert np.array_equal(everything.argmax(axis=1), np.array(code_ids)[labels.argmax(axis=1)])
    assert np.allclose(everything[:, list(code_ids)], labels, atol=1e-5)


def test_a_classifier_whose_head_was_cut_out_gives_the_same_output(
    source: Checkpoint, code_ids: tuple[int, ...], tmp_path: Path
) -> None:
    causal = Qwen2ForCausalLM.from_pretrained(source.folder, dtype=torch.bfloat16)
    cut_head(causal, code_ids, LABELS).save_pretrained(tmp_path)
    assert np.array_equal(output_rows(read_checkpoint(tmp_path), code_ids), output_rows(source, code_ids))


def test_the_tokenizer_is_the_checkpoints(
    source: Checkpoint, vocabulary: Vocabulary, code_ids: tuple[int, ...], written: Callable[[str], Path]
) -> None:
    found = fields(written("f16"))
    content = json.loads((source.folder / "tokenizer.json").read_text())
    tokens, kinds = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert {token: tokens.index(token) for token in content["model"]["vocab"]} == content["model"]["vocab"]
    assert [merge.split(" ") for merge in found["tokenizer.ggml.merges"]] == content["model"]["merges"]
    assert [tokens[code] for code in code_ids] == [f"<|code_{row:03d}|>" for row in range(len(LABELS))]
    assert {kinds[code] for code in code_ids} == {int(gguf.TokenType.USER_DEFINED)}  # which llama.cpp prints
    assert kinds[tokens.index("<|im_start|>")] == int(gguf.TokenType.CONTROL)
    assert kinds[tokens.index("a")] == int(gguf.TokenType.NORMAL)
    assert tokens[found["tokenizer.ggml.eos_token_id"]] == "<|endoftext|>"
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("gpt2", "qwen2")
    assert not found["tokenizer.ggml.add_bos_token"]


def test_the_shape_is_the_checkpoints(written: Callable[[str], Path]) -> None:
    found = fields(written("q8_0"))
    wanted = {
        "general.architecture": "qwen2",
        "general.name": "toy",
        "general.file_type": 7,
        "qwen2.block_count": 2,
        "qwen2.embedding_length": 64,
        "qwen2.feed_forward_length": 128,
        "qwen2.attention.head_count": 2,
        "qwen2.attention.head_count_kv": 1,
        "qwen2.context_length": 512,
        "qwen2.rope.freq_base": 10000.0,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert found["qwen2.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)


def test_the_same_checkpoint_gives_the_same_bytes(written: Callable[[str], Path]) -> None:
    first = file_sha256(written("q8_0"))
    assert file_sha256(written("q8_0")) == first


@pytest.mark.parametrize("name", ["f16", "q8_0"])
def test_the_check_passes_what_was_written(
    name: str, source: Checkpoint, vocabulary: Vocabulary, code_ids: tuple[int, ...], written: Callable[[str], Path]
) -> None:
    from intently_build.gguf_export.checking import check_gguf

    stored = find_type(name)
    assert 0 < check_gguf(written(name), source, vocabulary, code_ids, stored) < stored.largest_error


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("another checkpoint", r"token_embd\.weight: .* of its values' size away"),
        ("another type", r"token_embd\.weight: stored as Q8_0, not as F16"),
        ("other labels", r"output\.weight: .* of its values' size away"),
        ("other tokens", r"its tokens are not those of"),
    ],
)
def test_the_check_finds(
    damage: str,
    says: str,
    source: Checkpoint,
    vocabulary: Vocabulary,
    code_ids: tuple[int, ...],
    written: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    from intently_build.gguf_export.checking import check_gguf

    stored: GgufType = find_type("f16")
    if damage == "another checkpoint":
        source = read_checkpoint(make_base(tmp_path / "other", seed=5, layers=2, codes=len(LABELS)))
    if damage == "other labels":
        code_ids = code_ids[1:]
    if damage == "other tokens":
        vocabulary = Vocabulary(vocabulary.tokens[::-1], vocabulary.kinds, vocabulary.merges, vocabulary.end)
    with pytest.raises(BuildError, match=says):
        check_gguf(written("q8_0" if damage == "another type" else "f16"), source, vocabulary, code_ids, stored)
