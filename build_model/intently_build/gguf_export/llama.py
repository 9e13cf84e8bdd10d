"""llama.cpp, by its Python binding: makes a K-quant of an f16 file, and answers prompts as Ollama would have it."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from intently_build.errors import BuildError
from intently_build.gguf_export.answers import Answers
from intently_build.gguf_export.gguf_type import GgufType


def shrink(source: Path, output: Path, stored: GgufType) -> None:
    """Writes the GGUF file `source` (f16) in another type. Raises BuildError if llama.cpp does not."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = stored.file_type
    parameters.nthread = threads()
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(output), ctypes.byref(parameters))
    if code:
        raise BuildError(f"llama.cpp could not quantize to {stored.name}: code {code}")


def answer(path: Path, prompts: Sequence[str], code_ids: Sequence[int], context: int) -> Answers:
    """Asks the model in `path`. A prefix that prompts share is computed once.

    Args:
      path: the GGUF file.
      prompts: whole prompts, with special tokens in them.
      code_ids: the token of each label.
      context: tokens that a prompt may have.
    """
    import llama_cpp

    model = llama_cpp.Llama(str(path), n_ctx=context, n_threads=threads(), n_threads_batch=threads(), verbose=False)
    read, greedy, logits = [], [], np.zeros((len(prompts), len(code_ids)))
    before: list[int] = []
    for place, prompt in enumerate(prompts):
        ids = [int(token) for token in model.tokenize(prompt.encode(), add_bos=False, special=True)]
        model.n_tokens = shared_tokens(before, ids)  # what lies behind it leaves the cache
        model.eval(ids[model.n_tokens :])
        last = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(model.ctx, -1), shape=(model.n_vocab(),))
        read.append(tuple(ids))
        greedy.append(int(last.argmax()))
        logits[place] = last[list(code_ids)]
        before = ids
        if place % 10 == 0:
            print(f"llama.cpp answers: {place} of {len(prompts)}", flush=True)  # noqa: T201  # the log of this process
    printed = tuple(model.detokenize([code]).decode() for code in code_ids)
    model.close()
    return Answers(tuple(read), tuple(greedy), logits, printed)


def threads() -> int:
    """Returns how many threads to compute with: OMP_NUM_THREADS, as torch has it, or one for each core."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return int(named) if named.isdecimal() and int(named) else len(os.sched_getaffinity(0))


def shared_tokens(before: Sequence[int], ids: Sequence[int]) -> int:
    """Returns how many tokens both begin with, at least one of `ids` left out."""
    longest = min(len(before), len(ids) - 1)
    return next((place for place in range(longest) if before[place] != ids[place]), longest)
