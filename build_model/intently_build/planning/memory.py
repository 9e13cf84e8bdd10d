"""The formulas of a plan: weights, KV cache as vLLM counts it, activations of a prefill chunk."""

from dataclasses import dataclass

from intently_build.planning.formats import PLAIN_BYTES, scale_and_zero_bytes, weight_bytes
from intently_build.planning.shapes import Shape
from intently_build.quantizing.formats import Format

KV_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "fp8": 1}


@dataclass(frozen=True)
class WeightSizes:
    """Bytes of a checkpoint's tensors, by part. The same on disk and in the GPU.

    Attributes:
      linears: the decoder's Linear layers, in the format.
      scales: their scales, zero points and group indices.
      embedding: in bfloat16.
      small: norms and biases, in bfloat16.
      head: a row for each label, in bfloat16.
      language_model_head: what the causal model's own head would take instead; on disk nothing if it is tied.
    """

    linears: int
    scales: int
    embedding: int
    small: int
    head: int
    language_model_head: int

    @property
    def total(self) -> int:
        """With the head of the labels: what a bundle holds."""
        return self.linears + self.scales + self.embedding + self.small + self.head

    @property
    def causal_total(self) -> int:
        """With the language-model head: what the checkpoint that it was cut from holds."""
        return self.total - self.head + self.language_model_head


def weight_sizes(shape: Shape, weights: Format, group_size: int, labels: int) -> WeightSizes:
    """Returns what the weights take; `labels` are the rows of the head."""
    return WeightSizes(
        linears=weight_bytes(weights, shape),
        scales=scale_and_zero_bytes(weights, shape, group_size),
        embedding=PLAIN_BYTES * shape.embedding,
        small=PLAIN_BYTES * shape.small_parameters,
        head=PLAIN_BYTES * shape.hidden * labels,
        language_model_head=0 if shape.tied else PLAIN_BYTES * shape.embedding,
    )


@dataclass(frozen=True)
class KvCache:
    """A KV cache in vLLM's blocks.

    Keys and values of each key-value head, not of each query head, are kept:
    bytes of a token = 2 * layers * kv_heads * head_size * bytes of a number.

    Attributes:
      token_bytes: of one token in all layers.
      block_tokens: of one block; vLLM gives no less to a request.
      blocks: how many there are.
    """

    token_bytes: int
    block_tokens: int
    blocks: int

    @property
    def block_bytes(self) -> int:
        """Of one block in all layers."""
        return self.token_bytes * self.block_tokens

    def tokens(self, longest: int) -> int:
        """Returns what vLLM states as "KV cache size": blocks over those of the longest prompt, times its tokens."""
        return int(self.blocks / _blocks(longest, self.block_tokens) * longest)

    def requests(self, tokens: int, prefix: int) -> int:
        """Returns how many prompts of `tokens` find room at once, if the first `prefix` of each are the same.

        Shared are whole blocks, and never the last token. One block is never given away (vLLM's null block).
        """
        shared, own = self._shared_and_own(tokens, prefix)
        return max(0, (self.blocks - 1 - shared) // own)

    def bytes_for(self, requests: int, tokens: int, prefix: int) -> int:
        """Returns the bytes of a cache with room for just so many such prompts."""
        shared, own = self._shared_and_own(tokens, prefix)
        return (1 + shared + requests * own) * self.block_bytes

    def _shared_and_own(self, tokens: int, prefix: int) -> tuple[int, int]:
        """Returns the blocks that all prompts share, and those that each has to itself."""
        shared = min(prefix, tokens - 1) // self.block_tokens
        return shared, _blocks(tokens, self.block_tokens) - shared


def kv_cache(shape: Shape, dtype: str, block_tokens: int, memory: int) -> KvCache:
    """Returns the cache that fits in `memory` bytes; one without blocks if that is not over 0."""
    token_bytes = 2 * shape.layers * shape.kv_heads * shape.head_size * KV_BYTES[dtype]
    return KvCache(token_bytes, block_tokens, max(0, memory // (token_bytes * block_tokens)))


def activation_bytes(shape: Shape, weights: Format, chunk_tokens: int) -> int:
    """Returns the peak of one prefill chunk, which is in a block's MLP: an estimate, measured on no GPU.

    At once there are the residual and the normed input (2 * hidden), gate and up (2 * intermediate) and their product
    (intermediate), in bfloat16; with quantized inputs also the product in a byte each.
    """
    numbers = 2 * shape.hidden + 3 * shape.intermediate
    quantized = shape.intermediate if weights.quantized_inputs else 0
    return chunk_tokens * (PLAIN_BYTES * numbers + quantized)


def _blocks(tokens: int, block_tokens: int) -> int:
    return -(-tokens // block_tokens)
