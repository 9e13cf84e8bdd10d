"""How vLLM is to run a checkpoint, and the arguments that it takes for that."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_GIB = 1 << 30
_CPU_KV_CACHE_GIB = 1.0
_CPU_BLOCK_TOKENS = 32  # vLLM's own 128 leave up to 127 tokens of the shared prefix to be computed for each prompt


@dataclass(frozen=True, slots=True)
class VllmConfig:
    """How vLLM runs a checkpoint.

    Attributes:
        checkpoint: Folder of a sequence classifier in Hugging Face's layout.
        labels: Rows of its head.
        max_input_tokens: Tokens of the longest prompt.
        dtype: "auto" (the checkpoint's), "bfloat16", "float16" or "float32".
        max_batched_tokens: Tokens of one step; a longer prompt is prefilled in chunks. None: vLLM's choice.
        max_sequences: Prompts of one step at most. None: vLLM's choice.
        kv_cache_gib: Memory of the KV cache in GiB. None: on a GPU, what `gpu_memory_utilization` leaves; on a CPU, 1,
            since vLLM would otherwise ask for that share of the whole machine, and fail where it is not free.
        gpu_memory_utilization: Share of the GPU's memory that vLLM may take, 0 to 1.
        tensor_parallel_size: GPUs that share each layer.
        data_parallel_size: Copies of the engine, each on GPUs of its own.
        executor: "mp", "ray", or "auto" for vLLM's choice.
        max_cudagraph_tokens: Tokens of the largest step that is replayed as a CUDA graph. None: vLLM's choice, twice
            `max_sequences` and 512 at most, which is for generating a token each: 20 utterances have as many.
        enforce_eager: Whether to skip compilation: a quicker start, slower answers.
        async_scheduling: Whether vLLM schedules a step while the one before computes. None: on a GPU, unless Ray runs
            the workers, who cannot; vLLM by itself would not for pooling, but there it answers 5 to 8 % more.
        name: Of the model, for vLLM's metrics.
        metrics: Whether vLLM keeps metrics, in prometheus_client's default registry.
    """

    checkpoint: Path
    labels: int
    max_input_tokens: int
    dtype: str = "auto"
    max_batched_tokens: int | None = None
    max_sequences: int | None = None
    kv_cache_gib: float | None = None
    gpu_memory_utilization: float = 0.9
    tensor_parallel_size: int = 1
    data_parallel_size: int = 1
    executor: str = "auto"
    max_cudagraph_tokens: int | None = None
    enforce_eager: bool = False
    async_scheduling: bool | None = None
    name: str = "model"
    metrics: bool = True

    def engine_args(self) -> Mapping[str, Any]:
        """The arguments of vLLM's AsyncEngineArgs."""
        return {
            "model": str(self.checkpoint),
            "served_model_name": self.name,
            "skip_tokenizer_init": True,
            "trust_remote_code": False,
            "load_format": "safetensors",
            "runner": "pooling",
            "convert": "classify",
            "model_impl": "vllm",  # else 0.25.1 looks at Transformers' models first, in a process of its own: 10 s
            "dtype": self.dtype,
            "max_model_len": self.max_input_tokens,
            "enable_prefix_caching": True,
            "enable_chunked_prefill": True,
            "max_num_batched_tokens": self.max_batched_tokens,
            "max_num_seqs": self.max_sequences,
            "kv_cache_memory_bytes": self._kv_cache_bytes(),
            "block_size": None if torch.cuda.is_available() else _CPU_BLOCK_TOKENS,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "tensor_parallel_size": self.tensor_parallel_size,
            "data_parallel_size": self.data_parallel_size,
            "distributed_executor_backend": None if self.executor == "auto" else self.executor,
            "cudagraph_capture_sizes": self._cudagraph_sizes(),
            "enforce_eager": self.enforce_eager,
            "async_scheduling": self._async_scheduling(),
            "disable_log_stats": True,
            "enable_log_requests": False,
            "use_tqdm_on_load": False,
        }

    def _async_scheduling(self) -> bool | None:
        if self.async_scheduling is None and torch.cuda.is_available() and self.executor != "ray":
            return True
        return self.async_scheduling

    def _cudagraph_sizes(self) -> list[int] | None:
        """Tokens of the steps that become graphs; smaller ones are padded, by an eighth at most from 128 on."""
        if self.max_cudagraph_tokens is None:
            return None
        sizes, largest = [0], min(self.max_cudagraph_tokens, self.max_batched_tokens or self.max_cudagraph_tokens)
        while sizes[-1] < largest:
            sizes.append(min(largest, sizes[-1] + 16 * max(1, sizes[-1] // 128)))
        return sizes[1:]

    def _kv_cache_bytes(self) -> int | None:
        gib = self.kv_cache_gib
        if gib is None and not torch.cuda.is_available():
            gib = _CPU_KV_CACHE_GIB
        return None if gib is None else int(gib * _GIB)
