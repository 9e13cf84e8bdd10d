"""The types that a GGUF can store weights in, and what each may cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from intently_build.errors import BuildError


@dataclass(frozen=True)
class GgufType:
    """A type of GGUF, which is that of its matrices; vectors stay in float32.

    Attributes:
      name: as on the command line.
      file_type: llama.cpp's number of it (`llama_ftype`).
      block: values of a row that share a scale; every row must be a multiple of it.
      bits: of a stored weight, its part of the scales included; more where llama.cpp keeps some matrices finer.
      stored: GGML's types that its matrices may have.
      largest_error: of a matrix, root mean square of the error over that of the values. Of normally distributed values
        f16 has 0.0003, q8_0 0.006, q4_k 0.08.
      least_agreement: share of the proof's rows that must be answered as the reference answers them.
    """

    name: str
    file_type: int
    block: int
    bits: float
    stored: tuple[str, ...]
    largest_error: float
    least_agreement: float


GGUF_TYPES: Mapping[str, GgufType] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            GgufType("f16", 1, 1, 16, ("F16",), 0.001, 0.99),
            GgufType("q8_0", 7, 32, 8.5, ("Q8_0",), 0.03, 0.99),
            GgufType("q4_k_m", 15, 256, 6.57, ("Q4_K", "Q6_K"), 0.2, 0.95),
        )
    }
)


def find_type(name: str) -> GgufType:
    """Returns the type of that name, however it is capitalised. Raises BuildError naming all of them."""
    if name.lower() not in GGUF_TYPES:
        raise BuildError(f"--gguf-type {name}: there are {', '.join(GGUF_TYPES)}")
    return GGUF_TYPES[name.lower()]
