"""What must hold before a GGUF is written: that llama.cpp computes this model, and that its rows divide into blocks."""

import shutil
from pathlib import Path

from intently_build.errors import BuildError
from intently_build.gguf_export.gguf_type import GgufType, find_type
from intently_build.gguf_export.matrices import CUT, EMBEDDINGS
from intently_build.quantizing.checkpoint import Checkpoint
from intently_build.quantizing.preflight import SPARE, check_weights


def check_model(source: Checkpoint, labels: int) -> None:
    """Raises BuildError unless this is a Qwen2 in floating point that llama.cpp computes as transformers does.

    Args:
      source: the checkpoint.
      labels: how many labels it is to answer with.
    """
    folder, config = source.folder, source.config
    if config.get("model_type") != "qwen2":
        raise BuildError(f"{folder}: a model of type {config.get('model_type')!r}; only 'qwen2' can be exported")
    check_weights(source)
    if EMBEDDINGS not in source.tensors:
        raise BuildError(f"{folder}: no {EMBEDDINGS}; is it a whole checkpoint?")
    rope = config.get("rope_parameters") or {"rope_type": (config.get("rope_scaling") or {}).get("rope_type")}
    if rope.get("rope_type") not in (None, "default"):
        raise BuildError(f"{folder}: rope_type {rope['rope_type']!r}; only the default one can be exported")
    if config.get("use_sliding_window"):
        raise BuildError(f"{folder}: has a sliding window, which llama.cpp's Qwen2 has not")
    head = int(config["hidden_size"]) // int(config["num_attention_heads"])
    if config.get("head_dim", head) != head:
        raise BuildError(f"{folder}: head_dim {config['head_dim']}, not hidden_size / heads; llama.cpp wants {head}")
    if CUT in source.tensors and source.tensors[CUT].shape[0] != labels:
        raise BuildError(f"{folder}: its head has {source.tensors[CUT].shape[0]} rows, the label set {labels} labels")


def check_blocks(source: Checkpoint, stored: GgufType) -> None:
    """Raises BuildError naming the first matrix whose rows blocks of this type do not divide, and a type that fits."""
    rows = {name: tensor.shape[-1] for name, tensor in source.tensors.items() if len(tensor.shape) > 1}
    for name, values in rows.items():
        if values % stored.block:
            fits = "q8_0" if all(row % find_type("q8_0").block == 0 for row in rows.values()) else "f16"
            raise BuildError(
                f"{name}: rows of {values} values cannot be divided into the blocks of {stored.block} that "
                f"{stored.name} has; take --gguf-type {fits}"
            )


def check_disk(source: Checkpoint, stored: GgufType, output: Path) -> int:
    """Returns the bytes needed beside `output` while the file is written. Raises BuildError if they are not free."""
    values = sum(tensor.values for tensor in source.tensors.values()) + source.tensors[EMBEDDINGS].values
    bits = stored.bits + (0 if stored.name in ("f16", "q8_0") else find_type("f16").bits)  # made of an f16 file
    needed = int(values * bits / 8 * SPARE)
    there = next(folder for folder in output.absolute().parents if folder.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BuildError(f"{output}: needs {needed / 1e6:,.0f} MB on that disk, {free / 1e6:,.0f} MB are free")
    return needed
