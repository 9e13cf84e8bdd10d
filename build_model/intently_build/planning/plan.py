"""A plan: for one model, what each format takes, and on which GPU it fits with how many requests at once."""

from collections.abc import Iterable
from dataclasses import dataclass

from intently_build.planning.formats import misfit
from intently_build.planning.gpus import GIB, Gpu, support
from intently_build.planning.memory import KvCache, WeightSizes, activation_bytes, kv_cache, weight_sizes
from intently_build.planning.shapes import Shape
from intently_build.quantizing.formats import Format


@dataclass(frozen=True)
class Load:
    """What the model is to carry, and how vLLM is set.

    Attributes:
      labels: rows of the head.
      tokens: of a prompt, prefix included.
      prefix_tokens: that all prompts begin with, and share in the prefix cache.
      requests: how many shall be under way at once, or None to say only how many can.
      kv_dtype: what keys and values are kept in.
      block_tokens: of a block of the KV cache.
      chunk_tokens: of one step of the engine (max_batched_tokens).
      group_size: weights to a scale, in the formats with groups.
      utilization: share of the GPU's memory that vLLM may take.
      reserve_gib: assumed for CUDA's context, libraries, graphs and fragments.
    """

    labels: int = 100
    tokens: int = 1024
    prefix_tokens: int = 0
    requests: int | None = None
    kv_dtype: str = "bfloat16"
    block_tokens: int = 16
    chunk_tokens: int = 8192
    group_size: int = 128
    utilization: float = 0.9
    reserve_gib: float = 1.0


@dataclass(frozen=True)
class FormatPlan:
    """A format's sizes, which no GPU changes.

    Attributes:
      misfit: why the shape cannot be stored like this, or None; then the sizes mean nothing.
    """

    weights: Format
    sizes: WeightSizes
    activations: int
    misfit: str | None


@dataclass(frozen=True)
class Fit:
    """One format on one GPU.

    Attributes:
      gpu, format: their names.
      runs, how: whether vLLM runs it there, and by what; or why not.
      kv_bytes: what is left for the KV cache; below 0 if the weights do not fit.
      kv_tokens: of that cache, as vLLM states it.
      requests: prompts that find room at once.
      enough: whether those are as many as were asked for; None if nobody asked.
    """

    gpu: str
    format: str
    runs: bool
    how: str
    kv_bytes: int
    kv_tokens: int
    requests: int
    enough: bool | None


@dataclass(frozen=True)
class Plan:
    """All of it.

    Attributes:
      kv: the cache's unit sizes; it has no blocks of its own.
      kv_bytes_wanted: of a cache with room for `load.requests`, or for one request.
    """

    shape: Shape
    load: Load
    kv: KvCache
    kv_bytes_wanted: int
    formats: tuple[FormatPlan, ...]
    fits: tuple[Fit, ...]


def make_plan(shape: Shape, load: Load, formats: Iterable[Format], gpus: Iterable[Gpu]) -> Plan:
    """Returns the plan. Nothing is measured or read: it is arithmetic."""
    unit = kv_cache(shape, load.kv_dtype, load.block_tokens, 0)
    planned = tuple(_format_plan(shape, load, each) for each in formats)
    return Plan(
        shape=shape,
        load=load,
        kv=unit,
        kv_bytes_wanted=unit.bytes_for(load.requests or 1, load.tokens, load.prefix_tokens),
        formats=planned,
        fits=tuple(_fit(shape, load, each, gpu) for gpu in gpus for each in planned),
    )


def _format_plan(shape: Shape, load: Load, weights: Format) -> FormatPlan:
    return FormatPlan(
        weights=weights,
        sizes=weight_sizes(shape, weights, load.group_size, load.labels),
        activations=activation_bytes(shape, weights, load.chunk_tokens),
        misfit=misfit(weights, shape, load.group_size),
    )


def _fit(shape: Shape, load: Load, planned: FormatPlan, gpu: Gpu) -> Fit:
    supported = support(gpu, planned.weights)
    budget = int(gpu.memory_gib * GIB * load.utilization)
    left = budget - planned.sizes.total - planned.activations - int(load.reserve_gib * GIB)
    cache = kv_cache(shape, load.kv_dtype, load.block_tokens, left)
    runs = supported.runs and planned.misfit is None
    requests = cache.requests(load.tokens, load.prefix_tokens) if runs else 0
    return Fit(
        gpu=gpu.name,
        format=planned.weights.name,
        runs=runs,
        how=planned.misfit or supported.how,
        kv_bytes=left,
        kv_tokens=cache.tokens(load.tokens) if runs else 0,
        requests=requests,
        enough=None if load.requests is None else requests >= load.requests,
    )
