"""The artifact check of a GGUF file: read again, it holds every tensor of its source, and the same tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intently_build.errors import BuildError
from intently_build.gguf_export.gguf_type import GgufType
from intently_build.gguf_export.matrices import OUTPUT, Floats, gguf_names, output_rows, values
from intently_build.gguf_export.vocabulary import Vocabulary
from intently_build.quantizing.checkpoint import Checkpoint


def check_gguf(
    path: Path, source: Checkpoint, vocabulary: Vocabulary, code_ids: Sequence[int], stored: GgufType
) -> float:
    """Returns the largest error of a matrix, root mean square over that of its values.

    Raises BuildError naming what is missing, stored otherwise, not finite, or further off than the type allows.
    """
    import gguf

    reader = gguf.GGUFReader(path)
    for key, wanted in (("tokens", vocabulary.tokens), ("merges", vocabulary.merges)):
        if tuple(reader.fields[f"tokenizer.ggml.{key}"].contents()) != wanted:
            raise BuildError(f"{path.name}: its {key} are not those of {source.folder / 'tokenizer.json'}")
    found = {tensor.name: tensor for tensor in reader.tensors}
    names = gguf_names(source)
    if found.keys() != {*names.values(), OUTPUT}:
        raise BuildError(f"{path.name}: its tensors are not those of {source.folder}")
    worst = 0.0
    for name, called in names.items():
        worst = max(worst, _error(found[called], values(source, name), stored))
    return max(worst, _error(found[OUTPUT], output_rows(source, code_ids), stored))


def _error(tensor: Any, wanted: Floats, stored: GgufType) -> float:
    import gguf

    allowed = stored.stored if wanted.ndim > 1 else ("F32",)
    if tensor.tensor_type.name not in allowed:
        raise BuildError(f"{tensor.name}: stored as {tensor.tensor_type.name}, not as {' or '.join(allowed)}")
    read = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(wanted.shape)
    if not np.isfinite(read).all():
        raise BuildError(f"{tensor.name}: values that are not finite; they are too large for 16 bits")
    error = float(np.linalg.norm((read - wanted).ravel()) / (np.linalg.norm(wanted.ravel()) or 1.0))
    if not error <= (stored.largest_error if wanted.ndim > 1 else 0.0):
        raise BuildError(f"{tensor.name}: {error:.2g} of its values' size away from the checkpoint's")
    return error
