"""An evaluation as a bundle's manifest holds it."""

from pathlib import Path

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import read_manifest, write_manifest
from intently_build.evaluation.figures import BundleResult, Results


def manifest_evaluation(results: Results, bundle: BundleResult) -> bundle_pb2.Evaluation:
    """Returns what the manifest says of this bundle."""
    quality = bundle.quality
    evaluation = bundle_pb2.Evaluation(
        dataset=results.dataset,
        split=results.split,
        in_scope_rows=results.in_scope_rows,
        out_of_scope_rows=results.out_of_scope_rows,
        accuracy=quality.accuracy,
        macro_f1=quality.macro_f1,
        ece=quality.ece,
        ece_perfect_p95=quality.ece_perfect_p95,
        engine=bundle.engine,
        data_sha256=results.data_sha256,
    )
    if quality.out_of_scope is not None:
        evaluation.out_of_scope_auroc = quality.out_of_scope.auroc
    for point in quality.points:
        evaluation.operating_points.add(
            name=point.name,
            in_scope_accuracy=point.in_scope_accuracy,
            in_scope_kept=point.in_scope_kept,
            out_of_scope_recall=point.out_of_scope_recall,
        )
    if bundle.comparison is not None:
        reference = next(other for other in results.bundles if other.name == results.reference)
        evaluation.reference = f"{reference.name} {reference.revision[:12]} ({reference.format})"
        evaluation.agreement = bundle.comparison.agreement
    return evaluation


def record(folder: Path, evaluation: bundle_pb2.Evaluation) -> None:
    """Writes the evaluation into the bundle's manifest, in place of an earlier one of the same rows and engine."""
    manifest = read_manifest(folder)
    same = (evaluation.dataset, evaluation.split, evaluation.engine)
    others = [old for old in manifest.evaluations if (old.dataset, old.split, old.engine) != same]
    del manifest.evaluations[:]
    manifest.evaluations.extend([*others, evaluation])
    write_manifest(folder, manifest)
