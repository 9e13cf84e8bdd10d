"""Settings: how vLLM runs the model."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class EngineSettings(BaseModel):
    """How vLLM runs the model."""

    dtype: Annotated[
        Literal["auto", "bfloat16", "float16", "float32"],
        Field(description="Arithmetic of the engine; auto is the checkpoint's own."),
    ] = "auto"
    max_batched_tokens: Annotated[
        int | None, Field(gt=0, description="Tokens of one engine step; a longer prompt is prefilled in chunks.")
    ] = None
    max_sequences: Annotated[int | None, Field(gt=0, description="Prompts of one engine step.")] = None
    kv_cache_gib: Annotated[
        float | None, Field(gt=0, description="GiB of KV cache; by default what is free on a GPU, 1 on a CPU.")
    ] = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1, description="Share of the GPU's memory to take.")] = 0.9
    tensor_parallel_size: Annotated[int, Field(gt=0, description="GPUs that share each layer.")] = 1
    data_parallel_size: Annotated[
        int, Field(gt=0, description="Copies of the engine behind this one server, each on GPUs of its own.")
    ] = 1
    executor: Annotated[
        Literal["auto", "mp", "ray"],
        Field(description="How vLLM starts its workers: ray, which must be installed, also on other nodes."),
    ] = "auto"
    max_cudagraph_tokens: Annotated[
        int | None,
        Field(
            ge=16,
            description="Tokens of the largest engine step that is replayed as a CUDA graph, which spares the CPU; no "
            "more than a step may have. By default vLLM's choice, 512 or less.",
        ),
    ] = None
    enforce_eager: Annotated[bool, Field(description="Skip compilation: a quicker start, slower answers.")] = False
    async_scheduling: Annotated[
        bool | None, Field(description="Schedule a step while the one before computes; by default on a GPU.")
    ] = None
