"""Goes through many items in batches that the memory of the GPU has room for."""

import gc
from collections.abc import Callable, Sequence

import torch

from intently_build.errors import BuildError


def in_batches(
    items: Sequence[int], size: int, compute: Callable[[Sequence[int]], None], say: Callable[[str], object]
) -> None:
    """Calls `compute` with `size` of the items at a time, in order, and with half as many where memory runs out.

    Args:
      items: all of them.
      size: how many at once to begin with.
      compute: computes some. Where it raises torch.OutOfMemoryError it is called again, with fewer.
      say: is told of it.

    Raises BuildError if there is no room for one.
    """
    start = 0
    while start < len(items):
        try:
            compute(items[start : start + size])
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise BuildError(f"the GPU's memory has no room for one utterance: {_first_line(error)}") from error
            size //= 2
            say(f"  the GPU's memory ran out: {size} utterances at a time from here on")
        else:
            start += size
            continue
        gc.collect()  # out of the handler: until there the error keeps the failed batch alive
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
