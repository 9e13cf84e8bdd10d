"""A page of text about a bundle, and the same as JSON."""

from dataclasses import asdict

from google.protobuf import json_format
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from intently.v1 import bundle_pb2
from intently_build.bundles.facts import BundleFacts
from intently_build.bundles.manifest import label_names

Rows = list[tuple[str, str]]


def page_json(manifest: bundle_pb2.BundleManifest, facts: BundleFacts) -> dict[str, object]:
    """Returns the manifest without the bulk of its golden vectors, and under "computed" what was computed."""
    slim = bundle_pb2.BundleManifest()
    slim.CopyFrom(manifest)
    del slim.golden_vectors[:]
    fields: dict[str, object] = json_format.MessageToDict(slim, preserving_proto_field_name=True)
    prompt = asdict(facts.prompt) | {"room": facts.prompt.room}
    computed = asdict(facts) | {
        "prompt": prompt,
        "labels": len(label_names(manifest)),
        "golden_vectors": len(manifest.golden_vectors),
    }
    return fields | {"computed": computed}


def print_page(manifest: bundle_pb2.BundleManifest, facts: BundleFacts, console: Console) -> None:
    """Prints what the bundle is, how well it does, and what it was made of."""
    _section(console, f"{manifest.name}", _identity(manifest))
    _section(console, "labels", _labels(manifest, facts))
    _section(console, "prompt", _prompt(manifest, facts))
    _section(console, "calibration", _calibration(manifest.calibration))
    _section(console, "weights", _weights(manifest, facts))
    for evaluation in manifest.evaluations:
        _section(console, f"evaluation: {evaluation.dataset} {evaluation.split}", _evaluation(evaluation))
    _section(console, "origin", _origin(manifest.origin))
    _section(console, "files", [(file.path, _file(file)) for file in manifest.files])


def _section(console: Console, title: str, rows: Rows) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    console.print(title, style="bold", highlight=False, markup=False)
    console.print(Padding(table, (0, 0, 1, 2)), highlight=False, markup=False)


def _identity(manifest: bundle_pb2.BundleManifest) -> Rows:
    return [
        ("revision", manifest.revision),
        ("packaged", manifest.create_time.ToJsonString()),
        ("languages", ", ".join(manifest.language_codes)),
        ("format version", str(manifest.format_version)),
    ]


def _labels(manifest: bundle_pb2.BundleManifest, facts: BundleFacts) -> Rows:
    label_set = manifest.label_set
    outside = label_set.out_of_scope.name if label_set.HasField("out_of_scope") else "no label of its own"
    head = {
        bundle_pb2.HEAD_KIND_CODE_TOKENS: "cut out of the language-model head by code tokens",
        bundle_pb2.HEAD_KIND_TRAINED: "trained",
    }
    by_domain = [
        (f"{domain or 'no domain'} ({len(names)})", ", ".join(names)) for domain, names in facts.domains.items()
    ]
    return [
        ("label set", f"{label_set.version}: {len(label_set.intents)} intents in {len(facts.domains)} domains"),
        ("out of scope", outside),
        ("head", f"{len(label_names(manifest))} rows, {head.get(manifest.head.kind, 'of no kind')}"),
        *by_domain,
    ]


def _prompt(manifest: bundle_pb2.BundleManifest, facts: BundleFacts) -> Rows:
    length = facts.prompt
    return [
        ("prefix", f"{length.prefix} tokens, shared by all requests"),
        ("around the text", f"{length.around} tokens"),
        ("room for text", f"{length.room} tokens of at most {length.limit}, {manifest.limits.max_context_turns} turns"),
        ("golden vectors", f"{len(manifest.golden_vectors)}, of {length.shortest} to {length.longest} tokens"),
        ("begins", _first_line(manifest.prompt.prefix)),
    ]


def _calibration(calibration: bundle_pb2.Calibration) -> Rows:
    points = [
        (f"  {point.name}", f"from {point.threshold:.4f}: {point.rule}") for point in calibration.operating_points
    ]
    return [
        ("temperature", f"{calibration.temperature:.4f}"),
        ("out of scope", f"from {calibration.out_of_scope_threshold:.4f}"),
        *points,
        ("ambiguous", f"when the best two differ by less than {calibration.ambiguity_margin:g}"),
        ("fitted", calibration.fitted_on),
    ]


def _weights(manifest: bundle_pb2.BundleManifest, facts: BundleFacts) -> Rows:
    quantization = manifest.quantization
    group = f", {quantization.group_size} weights to a scale" if quantization.group_size else ""
    return [
        ("quantization", f"{quantization.method}: {quantization.bits} bits{group}; the rest in {quantization.dtype}"),
        ("parameters", f"{manifest.origin.parameters:,} in the causal model"),
        ("size", f"{megabytes(facts.weight_bytes)} of weights, {megabytes(facts.bytes)} in all"),
    ]


def _evaluation(evaluation: bundle_pb2.Evaluation) -> Rows:
    rows = [
        ("answered by", evaluation.engine),
        ("rows", f"{evaluation.in_scope_rows:,} in scope, {evaluation.out_of_scope_rows:,} out of scope"),
        ("accuracy", f"{evaluation.accuracy:.2%}"),
        ("macro-F1", f"{evaluation.macro_f1:.4f}"),
        ("ECE", f"{evaluation.ece:.4f} (a perfect model's 95th percentile: {evaluation.ece_perfect_p95:.4f})"),
    ]
    if evaluation.HasField("out_of_scope_auroc"):
        rows.append(("out-of-scope AUROC", f"{evaluation.out_of_scope_auroc:.4f}"))
    if evaluation.HasField("agreement"):
        rows.append(("agreement", f"{evaluation.agreement:.2%} with {evaluation.reference}"))
    for point in evaluation.operating_points:
        recall = f", out-of-scope recall {point.out_of_scope_recall:.2%}"
        kept = f"accuracy {point.in_scope_accuracy:.2%}, kept {point.in_scope_kept:.2%}"
        rows.append((f"  {point.name}", kept + (recall if point.HasField("out_of_scope_recall") else "")))
    return rows


def _origin(origin: bundle_pb2.Origin) -> Rows:
    return [
        ("base model", origin.base_model or "none: trained from scratch"),
        ("adapter", origin.adapter or "none"),
        *(("teacher", teacher) for teacher in origin.teachers),
        ("recipe", f"SHA-256 {origin.recipe_sha256[:12]}…"),
        *((source.name, f"{source.license}; {source.attribution}") for source in origin.data),
        ("tools", ", ".join(f"{name} {origin.tools[name]}" for name in sorted(origin.tools))),
    ]


def _file(file: bundle_pb2.BundleFile) -> str:
    return f"{file.size:>12,}  {file.sha256[:12]}…" + ("" if file.affects_answers else "  changes no answers")


def _first_line(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first} …" if rest.strip() else first


def megabytes(size: int) -> str:
    """Returns a size in decimal megabytes, as disks and registries count."""
    return f"{size / 1e6:,.2f} MB"
