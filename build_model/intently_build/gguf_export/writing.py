"""Writes a checkpoint as one GGUF file, a tensor at a time: the memory needed is that of the largest one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intently_build.gguf_export.gguf_type import GgufType
from intently_build.gguf_export.matrices import EMBEDDINGS, OUTPUT, Floats, gguf_names, output_rows, values
from intently_build.gguf_export.vocabulary import Vocabulary
from intently_build.quantizing.checkpoint import Checkpoint

SPLITTER = "qwen2"  # llama.cpp's name of the pattern by which text is split
BYTE_LEVEL = "gpt2"  # and of a byte-level BPE


def write_gguf(
    path: Path, source: Checkpoint, name: str, vocabulary: Vocabulary, code_ids: Sequence[int], stored: GgufType
) -> None:
    """Writes the file.

    Args:
      path: of the file.
      source: a Qwen2 in floating point.
      name: of the model.
      vocabulary: its tokens.
      code_ids: the token of each label.
      stored: "f16" or "q8_0"; llama.cpp makes the others of f16.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "qwen2")
    _describe(writer, source, name, stored)
    _add_vocabulary(writer, vocabulary)
    names = gguf_names(source)
    kind = gguf.GGMLQuantizationType[stored.stored[0]]
    for tensor, called in names.items():
        _announce(writer, called, source.tensors[tensor].shape, kind)
    _announce(writer, OUTPUT, source.tensors[EMBEDDINGS].shape, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for place, tensor in enumerate(names, start=1):
        print(f"writing tensor {place} of {len(names) + 1}", flush=True)  # noqa: T201  # the log of this process
        writer.write_tensor_data(_encoded(values(source, tensor), kind))
    writer.write_tensor_data(_encoded(output_rows(source, code_ids), kind))
    writer.close()


def _describe(writer: Any, source: Checkpoint, name: str, stored: GgufType) -> None:
    import gguf

    config = source.config
    rope = config.get("rope_parameters") or config  # transformers 5 has it apart
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type(stored.file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(int(config["num_attention_heads"]))
    writer.add_head_count_kv(int(config["num_key_value_heads"]))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    import gguf

    writer.add_tokenizer_model(BYTE_LEVEL)
    writer.add_tokenizer_pre(SPLITTER)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types([int(gguf.TokenType[kind]) for kind in vocabulary.kinds])
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_eos_token_id(vocabulary.end)
    writer.add_bos_token_id(vocabulary.end)  # never added, but without it llama.cpp takes one of GPT-2's
    writer.add_add_bos_token(False)


def _announce(writer: Any, name: str, shape: tuple[int, ...], kind: Any) -> None:
    import gguf

    used = _kind_of(shape, kind)
    block, size = gguf.GGML_QUANT_SIZES[used]
    writer.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(shape)) // block * size, used)


def _encoded(array: Floats, kind: Any) -> Any:
    import gguf

    return gguf.quants.quantize(array, _kind_of(array.shape, kind))


def _kind_of(shape: tuple[int, ...], kind: Any) -> Any:
    import gguf

    return kind if len(shape) > 1 else gguf.GGMLQuantizationType.F32
