"""A plan as tables and as JSON; each figure says how it came about."""

from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Column, Table

from intently_build.planning.plan import Fit, Plan

# How each figure came about, by its key in the JSON. There is nothing measured in a plan.
HOW = {
    "linears": "computed: weights * bits / 8",
    "scales": "computed: weights / group size * (scale + zero point), or one scale for each output",
    "embedding": "computed: 2 * vocabulary * hidden",
    "small": "computed: 2 * (norms + biases)",
    "head": "computed: 2 * labels * hidden",
    "language_model_head": "computed: 2 * vocabulary * hidden; 0 if tied to the embedding",
    "total": "computed: the sum, with the head of the labels",
    "causal_total": "computed: the sum, with the language-model head instead",
    "kv_token_bytes": "computed: 2 * layers * kv_heads * head_size * bytes of a number",
    "kv_block_bytes": "computed: block tokens * bytes of a token",
    "kv_bytes_wanted": "computed: (1 null block + shared blocks + requests * own blocks) * bytes of a block",
    "activations": "computed, an estimate: chunk tokens * (2 * (2 * hidden + 3 * intermediate) + quantized inputs)",
    "reserve_gib": "assumed: CUDA's context, libraries, graphs, fragments",
    "memory_gib": "known: what CUDA reports of the GPU; or given by --memory",
    "kv_bytes": "computed: memory * utilization - weights - activations - reserve",
    "kv_tokens": "computed, as vLLM states it: blocks / blocks of a prompt * its tokens",
    "requests": "computed: (blocks - 1 null block - shared blocks) / own blocks of a prompt",
}


def plan_json(plan: Plan) -> dict[str, object]:
    """Returns all of it, sizes in bytes, and under "how" how each figure came about."""
    formats = [
        asdict(each.sizes)
        | {
            "format": each.weights.name,
            "total": each.sizes.total,
            "causal_total": each.sizes.causal_total,
            "activations": each.activations,
            "misfit": each.misfit,
        }
        for each in plan.formats
    ]
    return {
        "shape": asdict(plan.shape) | {"parameters": plan.shape.parameters},
        "load": asdict(plan.load),
        "kv_token_bytes": plan.kv.token_bytes,
        "kv_block_bytes": plan.kv.block_bytes,
        "kv_bytes_wanted": plan.kv_bytes_wanted,
        "formats": formats,
        "fits": [asdict(each) for each in plan.fits],
        "how": HOW,
    }


def print_plan(plan: Plan, console: Console) -> None:
    """Prints the model, its sizes by format, and how many requests fit where."""
    shape, load = plan.shape, plan.load
    wanted = f"{load.requests} requests" if load.requests else "one request"
    console.print(
        f"{shape.name}: {shape.parameters:,} parameters, {shape.layers} layers of width {shape.hidden}, "
        f"{shape.heads} heads on {shape.kv_heads} of keys and values; {load.labels} labels\n"
        f"Prompts of {load.tokens} tokens, of which {load.prefix_tokens} are shared; steps of {load.chunk_tokens}.\n"
        f"KV cache ({load.kv_dtype}): {plan.kv.token_bytes:,} bytes a token, {plan.kv.block_bytes:,} a block of "
        f"{load.block_tokens}, {_gigabytes(plan.kv_bytes_wanted)} GB for {wanted} (computed)",
        highlight=False,
        markup=False,
    )
    console.print(_sizes(plan), _fits(plan), highlight=False)
    _print_notes(plan, console)


def _sizes(plan: Plan) -> Table:
    table = Table(Column("format", overflow="fold"), title="computed, in GB (10⁹ bytes)", title_justify="left")
    for name in ("linears", "scales", "embedding", "head", "weights", "with LM head", "activations"):
        table.add_column(name, justify="right", overflow="fold")
    for each in plan.formats:
        sizes = each.sizes
        if each.misfit:
            table.add_row(each.weights.name, *["-"] * 7)
            continue
        parts = (sizes.linears, sizes.scales, sizes.embedding, sizes.head, sizes.total, sizes.causal_total)
        table.add_row(each.weights.name, *(_gigabytes(part) for part in (*parts, each.activations)))
    return table


def _fits(plan: Plan) -> Table:
    table = Table("GPU", title="computed: prompts at once (KV cache in tokens)", title_justify="left")
    for each in plan.formats:
        table.add_column(each.weights.name, justify="right", overflow="fold")
    by_gpu: dict[str, list[Fit]] = {}
    for fit in plan.fits:
        by_gpu.setdefault(fit.gpu, []).append(fit)
    for gpu, fits in by_gpu.items():
        table.add_row(gpu, *(_cell(fit) for fit in fits))
    return table


def _cell(fit: Fit) -> str:
    if not fit.runs:
        return "-"
    if fit.kv_bytes < 0 or not fit.requests:
        return "too big"
    short = " (too few)" if fit.enough is False else ""
    return f"{fit.requests:,}{short}\n({fit.kv_tokens:,})"


def _print_notes(plan: Plan, console: Console) -> None:
    """Prints how formats run or why they do not, and what everything rests on."""
    misfits = [f"{each.weights.name}: {each.misfit}; try --group-size" for each in plan.formats if each.misfit]
    load = plan.load
    rests = (
        f"Computed, nothing measured: memory * {load.utilization:g} less weights, activations and "
        f"{load.reserve_gib:g} GiB (assumed) is left for the KV cache. --json has each formula."
    )
    console.print("\n".join([*_ways(plan), *misfits, rests]), highlight=False, markup=False)


def _ways(plan: Plan) -> Iterator[str]:
    """Yields one line for each way in which vLLM runs formats, or does not: how, which formats, on which GPUs."""
    by_gpu: dict[tuple[str, str], list[str]] = {}
    for fit in plan.fits:
        if fit.how not in {each.misfit for each in plan.formats}:
            by_gpu.setdefault((fit.how, fit.gpu), []).append(fit.format)
    by_way: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (how, gpu), formats in by_gpu.items():
        by_way.setdefault((how, tuple(formats)), []).append(gpu)
    for (how, names), gpus in by_way.items():
        yield f"{how}: {', '.join(names)} on {', '.join(gpus)}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.2f}" if size >= 1e8 else f"{size / 1e9:,.4f}"
