"""docs/benchmarks.md and its plots, out of the records of studies: nothing stands there that is in no record."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from support.benchmarks import drawings, tables
from support.benchmarks.figures import legs
from support.benchmarks.wanted import Records, wanted

Runs = Mapping[str, Any]

_HEAD = """\
# Benchmarks

Our server beside its peers on the same work: the bare engine (vLLM's AsyncLLM in the load generator's own process, fed
with token ids), and `vllm serve` (`/classify` over HTTP, which gets the text, as its callers would send it). All have
the same settings of vLLM. Weights are random: speed does not depend on them. This page and its plots are made by
`python tests/bench/benchmarks_page.py` of the raw files in [benchmarks/](benchmarks/), which hold every command and
histogram; [load-testing.md](load-testing.md) tells how loads are sent and judged. Nothing is rounded in our favour.
"""
_METHOD = """\
A *rate* is the highest of an open loop with Poisson arrivals at which the latency is kept, counted from when a call was
due; two targets are searched a probe in turn. *Callers* wait for each answer before they send again. A star says that
the load generator was itself late or busy there. What is in turn is compared within one run; the rest within one
machine and hour."""


def load_records(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The records of a folder that are done, by the names of the studies."""
    read = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    return {record["study"]: record for record in read if record["done"]}


def write_page(folder: Path, page: Path) -> None:
    """Writes the page, and the plots into the folder of the records.

    Raises:
        ValueError: if no record is there, or they are of different models, settings, GPUs or versions.
    """
    records = load_records(folder)
    if not records:
        raise ValueError(f"{folder}: no record of a study that is done")
    if len({_comparable(record) for name, record in records.items() if name != "two-gpus"}) > 1:
        raise ValueError(f"{folder}: records of different models, settings, GPUs or versions do not belong on one page")
    plots = dict(_plots(records))
    for name, plot in plots.items():
        (folder / f"{name}.svg").write_text(plot, encoding="utf-8")
    parts = [_HEAD, _where(records), _METHOD, "## What is wanted", tables.of_wanted(wanted(records))]
    for study, title, body in _sections(records):
        parts += [f"## {title}", *([f"![{title}]({folder.name}/{study}.svg)"] if study in plots else []), body]
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def _comparable(record: Mapping[str, Any]) -> str:
    """What must be the same in all: hosts may differ in their drivers and memory."""
    machine = record["machine"]
    gpus = [gpu.partition(",")[0] for gpu in machine["gpus"]]
    return json.dumps([record["model"], record["settings"], gpus, machine["versions"]])


def _machine(machine: Mapping[str, Any]) -> str:
    gpus = "; ".join(machine["gpus"]) or "no GPU"
    return f"{gpus}; {machine['cores']} cores, {machine['processor']}; {machine['system']}, Python {machine['python']}"


def _where(records: Records) -> str:
    one = records.get("rate-beside-serve") or next(iter(records.values()))
    model, machine = one["model"], one["machine"]
    machines = " and ".join(dict.fromkeys(_machine(record["machine"]) for record in records.values()))
    settings = " ".join(f"{name}={value}" for name, value in one["settings"].items())
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    dates = " and ".join(sorted({record["date"] for record in records.values()}))
    commits = ", ".join(sorted({record["commit"] for record in records.values() if record["commit"]}))
    return (
        f"**Work**: shape {model['shape']}, {model['form']}, {model['labels']} labels; a prefix of "
        f"{model['prefix_tokens']} tokens, then utterances of {one['tokens'][0]} to {one['tokens'][1]}. "
        f"**Machine**: {machines}. **Versions**: {versions}"
        f"{f'; commit {commits}' if commits else ''}. **Settings**: `{settings}`. **Measured** on {dates}."
    )


def _sections(records: Records) -> Iterator[tuple[str, str, str]]:
    """Study, title and body of each part that there are records for."""
    for study, (title, body) in _BODIES.items():
        if study in records:
            yield study, title, body(records[study])
    if forms := {name: record for name, record in records.items() if name.startswith("form-")}:
        yield "forms", "Other formats", _of_forms(forms)
    for name, record in records.items():
        if name.startswith("setting-"):
            parts = [tables.of_legs(record["runs"], "run"), _noted(record)]
            yield name, f"`{name.removeprefix('setting-')}`", "\n\n".join(filter(None, parts))


def _of_forms(forms: Records) -> str:
    parts = []
    for name, record in forms.items():
        parts += [f"### {name.removeprefix('form-')}", tables.of_rates(record["runs"]), tables.of_legs(record["runs"])]
    return "\n\n".join(parts)


def _noted(record: Mapping[str, Any]) -> str:
    return "\n".join(tables.of_notes(record["notes"]))


def _release(record: Mapping[str, Any]) -> str:
    notes = record["notes"]
    deploy = notes["deploy"]
    failed = sum(deploy["failures"].values())
    memory = [
        (name.replace("_", " "), each["process"], str(each["rss_mib"] or "-"), str(each["gpu_mib"] or "-"))
        for name in ("memory_of_one", "memory_of_both")
        for each in notes[name]
    ]
    said = f"The deploy took {deploy['seconds']:g} s, under {deploy['calls']:,} calls of which {failed} failed"
    phases = ", ".join(f"{name} {seconds:g} s" for name, seconds in deploy["phases_s"].items())
    heads = ("when", "process", "host, MiB", "GPU, MiB")
    return "\n\n".join(
        [tables.of_legs(record["runs"], "when", whole=True), f"{said}: {phases}.", tables.table(heads, memory)]
    )


def _profile(record: Mapping[str, Any]) -> str:
    parts = []
    for name, found in record["notes"].items():
        if isinstance(found, dict) and "own" in found:
            rows = [(frame.replace("|", "/"), f"{share:.1%}") for frame, share in [*found["own"].items()][:12]]
            parts += [f"### {name}", tables.table(("running function", "of the samples"), rows)]
    return "\n\n".join(parts)


def _steps(record: Mapping[str, Any]) -> str:
    found = record["notes"]["steps"]
    rows = [(at, f"{each['median_ms']:g}", f"{each['prompts_per_s']:,.0f}") for at, each in found["steps"].items()]
    parts = [tables.table(("prompts of a step", "ms", "prompts/s"), rows)]
    for at, kernels in found["kernels"].items():
        rows = [(each["name"].replace("|", "/")[:90], f"{each['us']:,.0f}", str(each["calls"])) for each in kernels]
        parts += [f"Kernels of a step of {at}:", tables.table(("kernel", "µs", "calls"), rows)]
    return "\n\n".join(parts)


def _rates(record: Mapping[str, Any]) -> str:
    return tables.of_rates(record["runs"])


def _loops(record: Mapping[str, Any]) -> str:
    return tables.of_loops(record["runs"])


def _legs(record: Mapping[str, Any]) -> str:
    return tables.of_legs(record["runs"])


def _named(what: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda record: tables.of_legs(record["runs"], what)


def _gpus(record: Mapping[str, Any]) -> str:
    return f"{_rates(record)}\n\n{_loops(record)}"


_BODIES: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "rate-beside-serve": ("The highest rate within the latency, beside `vllm serve`", _rates),
    "rate-beside-bare": ("The highest rate within the latency, beside the bare engine", _rates),
    "rate-beside-scaled-serve": ("The same beside `vllm serve` with four front-end processes", _rates),
    "closed-loops": ("Callers who wait", _loops),
    "one-caller": ("One caller", _legs),
    "envoys-share": ("Envoy's share", _legs),
    "streams": ("Streams and single calls", _named("of")),
    "batches": ("Batches of 32", _legs),
    "label-counts": ("Labels at a fixed prefix", _named("labels")),
    "utterance-lengths": ("Tokens of an utterance", _named("tokens")),
    "prefix-lengths": ("Tokens of the prefix", _named("tokens")),
    "warm-starts": ("Start to SERVING", _noted),
    "blue-green": ("Two engines on one GPU", _release),
    "two-gpus": ("Two GPUs", _gpus),
    "profiles": ("Where processor time goes", _profile),
    "steps": ("What a step of the engine takes", _steps),
}


def _plots(records: Records) -> Iterator[tuple[str, str]]:
    for study in ("rate-beside-serve", "rate-beside-bare", "rate-beside-scaled-serve"):
        if any(run["report"].get("found") for run in records.get(study, {}).get("runs", {}).values()):
            yield study, drawings.of_probes(records[study]["runs"])
    if "closed-loops" in records and legs(records["closed-loops"]["runs"]):
        yield "closed-loops", drawings.of_loops(records["closed-loops"]["runs"])
    for study, title, axis in (
        ("utterance-lengths", "Latency by the length of an utterance", "tokens of the utterance"),
        ("prefix-lengths", "Latency by the length of the prefix", "tokens of the prefix"),
    ):
        if study in records:
            yield study, drawings.of_curve(records[study]["runs"], title, axis)
