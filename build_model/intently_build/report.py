"""What a bundle is, on the terminal."""

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from intently.v1 import bundle_pb2
from intently_build.evaluation.tables import print_evaluation


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
