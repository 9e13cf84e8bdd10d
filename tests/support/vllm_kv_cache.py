"""What vLLM's own functions make of KV caches, as JSON; run as a program, since importing vLLM is slow.

Reads a JSON list of cases from standard input: folder of a config.json (no weights are needed), dtype, tokens of the
longest prompt, tokens of a block, bytes for the cache. Prints a list of the blocks and tokens that vLLM would state.
"""

import json
import sys
from typing import Any

from vllm import AsyncEngineArgs
from vllm.v1.core.kv_cache_utils import get_kv_cache_capacity, get_kv_cache_configs
from vllm.v1.kv_cache_interface import FullAttentionSpec


def report(folder: str, dtype: str, longest: int, block_tokens: int, memory: int) -> dict[str, int]:
    """Returns the blocks, and the tokens that vLLM would log as "KV cache size"."""
    arguments: Any = AsyncEngineArgs(
        model=folder,
        skip_tokenizer_init=True,
        runner="pooling",
        convert="classify",
        dtype=dtype,
        max_model_len=longest,
        block_size=block_tokens,
    )
    config = arguments.create_engine_config()
    model, parallel = config.model_config, config.parallel_config
    spec = FullAttentionSpec(
        block_size=config.cache_config.block_size,
        num_kv_heads=model.get_num_kv_heads(parallel),
        head_size=model.get_head_size(),
        dtype=model.dtype,
    )
    config.cache_config.kv_cache_layout = "LBNHC"  # an engine core chooses one; all take the same room here
    layers = {f"layers.{number}.attn": spec for number in range(model.get_num_layers(parallel))}
    [cache] = get_kv_cache_configs(config, [layers], [memory])
    return {"blocks": cache.num_blocks, "tokens": get_kv_cache_capacity(config, cache)[0]}


if __name__ == "__main__":
    print(json.dumps([report(*case) for case in json.load(sys.stdin)]))  # noqa: T201
