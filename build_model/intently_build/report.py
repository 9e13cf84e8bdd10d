"""Tables on the terminal: an evaluation, and what a bundle is."""

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from intently.v1 import bundle_pb2


def print_evaluation(evaluation: bundle_pb2.Evaluation, console: Console) -> None:
    """Prints the figures of one split, and what each operating point gives there."""
    console.print(
        f"{evaluation.dataset} {evaluation.split}, {evaluation.engine}: {evaluation.in_scope_rows} rows in scope, "
        f"{evaluation.out_of_scope_rows} out of scope",
        highlight=False,
    )
    figures = Table("accuracy", "macro-F1", "ECE", "ECE if perfect (p95)", "out-of-scope AUROC")
    auroc = f"{evaluation.out_of_scope_auroc:.4f}" if evaluation.HasField("out_of_scope_auroc") else "n/a"
    figures.add_row(
        f"{evaluation.accuracy:.2%}",
        f"{evaluation.macro_f1:.4f}",
        f"{evaluation.ece:.4f}",
        f"{evaluation.ece_perfect_p95:.4f}",
        auroc,
    )
    points = Table("operating point", "in-scope accuracy", "in scope kept", "out-of-scope recall")
    for point in evaluation.operating_points:
        recall = f"{point.out_of_scope_recall:.2%}" if point.HasField("out_of_scope_recall") else "n/a"
        points.add_row(point.name, f"{point.in_scope_accuracy:.2%}", f"{point.in_scope_kept:.2%}", recall)
    console.print(figures, points)


def print_bundle(manifest: bundle_pb2.BundleManifest, console: Console) -> None:
    """Prints what a manifest says, on a page."""
    calibration, label_set = manifest.calibration, manifest.label_set
    outside = f", and {label_set.out_of_scope.name}" if label_set.HasField("out_of_scope") else ""
    facts = Table("", "", show_header=False, box=None)
    facts.add_row("name", manifest.name)
    facts.add_row("revision", manifest.revision)
    facts.add_row("packaged", _time(manifest.create_time))
    facts.add_row("languages", ", ".join(manifest.language_codes))
    facts.add_row("labels", f"{len(label_set.intents)} intents{outside} ({label_set.version})")
    facts.add_row("parameters", f"{manifest.origin.parameters:,} in the causal model")
    facts.add_row("weights", f"{manifest.quantization.method}, {manifest.quantization.dtype}")
    facts.add_row("longest prompt", f"{manifest.limits.max_input_tokens} tokens")
    facts.add_row("temperature", f"{calibration.temperature:.4f}")
    facts.add_row("out of scope from", f"{calibration.out_of_scope_threshold:.4f}")
    for point in calibration.operating_points:
        facts.add_row(f"  {point.name}", f"{point.threshold:.4f}: {point.rule}")
    facts.add_row("fitted", calibration.fitted_on)
    facts.add_row("files", f"{len(manifest.files)}, {sum(file.size for file in manifest.files) / 1e6:.2f} MB")
    console.print(facts)
    for evaluation in manifest.evaluations:
        print_evaluation(evaluation, console)


def _time(stamp: Timestamp) -> str:
    return stamp.ToJsonString()
