"""The tensors of a checkpoint under the names that llama.cpp knows, and the output matrix that answers with labels.

Training compares the code tokens' logits with each other alone, so any other token may have a larger one, and Ollama
takes the largest of all. Therefore the rows of the output matrix that stand for no label are the mean of those that do:
the mean of some logits is never above the largest of them. The answer is a code token by construction, the same one as
that of the masked softmax, in every version of llama.cpp. So a classifier whose head was cut out can be exported too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intently_build.errors import BuildError
from intently_build.quantizing.checkpoint import Checkpoint

Floats = NDArray[np.float32]

EMBEDDINGS = "model.embed_tokens.weight"
OUTPUT = "output.weight"
CUT = "score.weight"
CAUSAL = "lm_head.weight"


def gguf_names(source: Checkpoint) -> dict[str, str]:
    """Returns the name in GGUF of each tensor of the checkpoint but its head. Raises BuildError if it has none."""
    import gguf

    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, int(source.config["num_hidden_layers"]))
    names = {}
    for name in sorted(source.tensors):
        if name in (CUT, CAUSAL):
            continue
        found = known.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise BuildError(f"{source.folder}: {name}: no tensor of a Qwen2 in GGUF")
        names[name] = found
    return names


def values(source: Checkpoint, name: str) -> Floats:
    """Returns a tensor of the checkpoint in float32."""
    return np.asarray(_tensor(source, name).float().numpy())


def output_rows(source: Checkpoint, code_ids: Sequence[int]) -> Floats:
    """Returns the output matrix (tokens, hidden size) in float32.

    Args:
      source: a causal checkpoint, or a classifier whose head was cut out of one.
      code_ids: the token of each label.
    """
    ids = list(code_ids)
    labels = _tensor(source, CUT) if CUT in source.tensors else _tensor(source, _head(source))[ids]
    labels = labels.float()
    rows = labels.mean(dim=0).repeat(source.tensors[EMBEDDINGS].shape[0], 1)
    rows[ids] = labels
    return np.asarray(rows.numpy())


def _head(source: Checkpoint) -> str:
    return CAUSAL if CAUSAL in source.tensors else EMBEDDINGS


def _tensor(source: Checkpoint, name: str) -> Any:
    from safetensors import safe_open

    with safe_open(source.tensors[name].file, framework="pt") as file:
        return file.get_tensor(name)
