"""The command `intently-build plan`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from intently_build.commands.parser import Commands
from intently_build.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intently_build.planning.gpus import Gpu
    from intently_build.planning.model import PlannedModel
    from intently_build.planning.plan import Load
    from intently_build.quantizing.formats import Format


def add(commands: Commands) -> None:
    """Adds it."""
    about = "Computes, without a GPU, what fits where: weights, KV cache and activations, by format and GPU."
    parser = commands.add_parser("plan", help=about, description=f"{about} Every figure is computed, none measured.")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("folder", type=Path, nargs="?", help="folder of a checkpoint or a bundle")
    model.add_argument("--shape", metavar="NAME", help="a published shape instead, such as qwen2.5-7b or 7b")
    parser.add_argument("--format", action="append", metavar="NAME", help="a format (default: all); may be repeated")
    parser.add_argument("--gpu", action="append", metavar="NAME", help="a GPU (default: all); may be repeated")
    parser.add_argument("--memory", type=float, metavar="GIB", help="a GPU of this memory instead, in GiB")
    parser.add_argument("--capability", type=float, metavar="X.Y", help="compute capability of the GPU of --memory")
    _add_load(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, with the formula of each figure")
    parser.set_defaults(command=_run)


def _add_load(parser: argparse.ArgumentParser) -> None:
    known = "what the bundle says, or"
    parser.add_argument("--labels", type=int, metavar="N", help=f"labels (default: {known} 100)")
    parser.add_argument("--tokens", type=int, metavar="N", help=f"tokens of a whole prompt (default: {known} 1024)")
    parser.add_argument(
        "--prefix-tokens", type=int, metavar="N", help=f"of these, shared by all prompts (default: {known} 0)"
    )
    parser.add_argument("--requests", type=int, metavar="N", help="prompts that shall be under way at once")
    parser.add_argument(
        "--kv-dtype",
        choices=("bfloat16", "float16", "float32", "fp8"),
        default="bfloat16",
        help="what keys and values are kept in; the server has no setting for fp8 (default: %(default)s)",
    )
    parser.add_argument(
        "--block-tokens",
        default=16,
        type=int,
        metavar="N",
        help="tokens of a KV block; on a CPU 128 (default: %(default)s)",
    )
    parser.add_argument(
        "--chunk-tokens",
        default=8192,
        type=int,
        metavar="N",
        help="the server's max_batched_tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--group-size",
        type=int,
        metavar="N",
        help="weights to a scale, in formats with groups (default: what the checkpoint says, or 128)",
    )
    parser.add_argument(
        "--utilization",
        default=0.9,
        type=float,
        metavar="X",
        help="the server's gpu_memory_utilization (default: %(default)s)",
    )
    parser.add_argument(
        "--reserve-gib",
        default=1.0,
        type=float,
        metavar="X",
        help="GiB assumed for CUDA's context, libraries and graphs (default: %(default)s)",
    )


def _run(parsed: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from intently_build.planning.model import in_folder, published
    from intently_build.planning.page import plan_json, print_plan
    from intently_build.planning.plan import make_plan
    from intently_build.wide_console import table_console

    model = published(parsed.shape) if parsed.shape else in_folder(parsed.folder)
    plan = make_plan(model.shape, _load(parsed, model), _formats(parsed), _gpus(parsed))
    stored = asdict(model.stored) | {"bytes": model.stored_bytes} if model.stored else None
    if parsed.json:
        print(json.dumps(plan_json(plan) | {"stored": stored}, indent=2))  # noqa: T201  # to be piped
    else:
        console = table_console()
        print_plan(plan, console)
        if stored:
            name = stored["name"] or "a format that is not planned"
            console.print(f"In the folder (read): {name}, {stored['bytes']:,} bytes of *.safetensors.", highlight=False)
    return 0 if any(fit.requests and fit.enough is not False for fit in plan.fits) else 1


def _load(parsed: argparse.Namespace, model: "PlannedModel") -> "Load":
    from intently_build.planning.plan import Load

    def first(given: int | None, known: int | None, default: int) -> int:
        return next(value for value in (given, known, default) if value is not None)

    load = Load(
        labels=first(parsed.labels, model.labels, 100),
        tokens=first(parsed.tokens, model.tokens, 1024),
        prefix_tokens=first(parsed.prefix_tokens, model.prefix_tokens, 0),
        requests=parsed.requests,
        kv_dtype=parsed.kv_dtype,
        block_tokens=parsed.block_tokens,
        chunk_tokens=parsed.chunk_tokens,
        group_size=first(parsed.group_size, model.stored.group_size if model.stored else None, 128),
        utilization=parsed.utilization,
        reserve_gib=parsed.reserve_gib,
    )
    _check(load)
    return load


def _check(load: "Load") -> None:
    """Raises BuildError for what is out of range."""
    for name in ("labels", "tokens", "block_tokens", "chunk_tokens", "group_size"):
        if getattr(load, name) < 1:
            raise BuildError(f"--{name.replace('_', '-')} {getattr(load, name)}: must be at least 1")
    if load.requests is not None and load.requests < 1:
        raise BuildError(f"--requests {load.requests}: must be at least 1")
    if not 0 <= load.prefix_tokens <= load.tokens:
        raise BuildError(f"--prefix-tokens {load.prefix_tokens}: must be from 0 to --tokens, {load.tokens}")
    if not 0 < load.utilization <= 1:
        raise BuildError(f"--utilization {load.utilization:g}: must be over 0 and at most 1")
    if not 0 <= load.reserve_gib < float("inf"):
        raise BuildError(f"--reserve-gib {load.reserve_gib:g}: must be a number from 0")


def _formats(parsed: argparse.Namespace) -> "Iterable[Format]":
    from intently_build.planning.formats import FORMATS

    for name in parsed.format or ():
        if name not in FORMATS:
            raise BuildError(f"--format {name}: not known; known are {', '.join(FORMATS)}")
    return [FORMATS[name] for name in parsed.format or FORMATS]


def _gpus(parsed: argparse.Namespace) -> "Iterable[Gpu]":
    from intently_build.planning.gpus import KNOWN, Gpu

    if parsed.capability is not None and parsed.memory is None:
        raise BuildError("--capability: belongs to --memory; a known GPU has its own")
    for name in parsed.gpu or ():
        if name not in KNOWN:
            raise BuildError(
                f"--gpu {name}: not known; known are {', '.join(KNOWN)}, or give --memory and --capability"
            )
    chosen = [KNOWN[name] for name in parsed.gpu or (() if parsed.memory is not None else KNOWN)]
    if parsed.memory is not None:
        if not 0 < parsed.memory < float("inf"):
            raise BuildError(f"--memory {parsed.memory:g}: must be a number over 0, in GiB")
        capability = None if parsed.capability is None else round(parsed.capability * 10)
        chosen.append(Gpu(f"{parsed.memory:g} GiB", parsed.memory, capability))
    return chosen
