"""`intently-build calibrate`: a new revision of a bundle, with temperature and thresholds fitted on rows given now.

Weights, labels and prompt stay byte for byte. What was measured of the former revision is left out: with another
temperature and other thresholds it holds no more.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from transformers import Qwen2ForSequenceClassification

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bar import progress_bar
from intently_build.bundles.manifest import MANIFEST, manifest_layout, read_manifest, write_manifest
from intently_build.bundles.verify import verify
from intently_build.calibration import probabilities
from intently_build.calibration_errors import calibration_errors
from intently_build.calibration_set import CalibrationSet, Wanted, read_calibration_set
from intently_build.errors import BuildError
from intently_build.fitting import ValidationLogits, fit_calibration
from intently_build.origin import given_time
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Calibration, load_recipe
from intently_build.recipe.finishing import OperatingPointName
from intently_build.reference import device_for, load_classifier, prompt_logits, text_logits
from intently_build.steps.disk import disk_errors
from intently_build.steps.perform import partial_folder, put_in_place

Manifest = bundle_pb2.BundleManifest


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
      bundle: its folder; nothing in it is changed.
      wanted: the rows.
      output: folder of the new revision.
      replace: whether to write over a folder that is there.
    """

    bundle: Path
    wanted: Wanted
    output: Path
    replace: bool = False


def calibrate(request: Request, console: Console) -> Manifest:
    """Writes the new revision, whole or not at all, and returns its manifest. Says the ECE before and after.

    Raises BuildError if the bundle is not sound, the rows are not fit for it, or another folder is in the way.
    """
    bundle, output = request.bundle, request.output
    faults = verify(bundle)
    if faults:
        raise BuildError(f"{bundle}: {faults[0]}; `intently-build verify {bundle}` says all that is wrong")
    former = read_manifest(bundle)
    chosen = read_calibration_set(bundle, former, request.wanted)
    settings = _settings(former, chosen, request)
    _say_rows(chosen, console)
    manifest = _recalibrated(request, former, chosen, settings, console)
    if output.exists() and not request.replace:
        if (output / MANIFEST).is_file() and read_manifest(output) == manifest and not verify(output):
            console.print(f"{output}: lies there already, calibrated on the same", highlight=False, soft_wrap=True)
            return manifest
        raise BuildError(f"{output}: exists; give --replace to write it anew")
    with disk_errors(output):
        _write(bundle, manifest, output)
    console.print(f"{output}: revision {manifest.revision[:12]}", highlight=False, soft_wrap=True)
    return manifest


def _settings(former: Manifest, chosen: CalibrationSet, request: Request) -> Calibration:
    """Returns the recipe's settings, or without a recipe those that the bundle shows."""
    if request.wanted.recipe:
        settings = load_recipe(request.wanted.recipe)[0].calibration
    else:
        settings = _shown(former, request.bundle)
    if "balanced" in settings.operating_points and not chosen.dataset.rows.out_of_scope:
        raise BuildError(
            f"{request.wanted.rows or request.wanted.recipe}: no rows out of scope, which the operating point "
            "'balanced' needs; add some, with the intent out_of_scope"
        )
    return settings


def _shown(former: Manifest, bundle: Path) -> Calibration:
    """Returns the settings of a bundle: its operating points, and which of them gives its threshold."""
    points, known = former.calibration.operating_points, get_args(OperatingPointName)
    default = [point.name for point in points if point.threshold == former.calibration.out_of_scope_threshold]
    if not default or any(point.name not in known for point in points):
        raise BuildError(
            f"{bundle}: its threshold is that of no operating point among {', '.join(known)}; give --recipe, whose "
            "section calibration says how to choose one"
        )
    return Calibration.model_validate(
        {
            "operating_points": [point.name for point in points],
            "default_operating_point": default[0],
            "ambiguity_margin": former.calibration.ambiguity_margin,
        }
    )


def _say_rows(chosen: CalibrationSet, console: Console) -> None:
    rows = chosen.dataset.rows
    found = f"{len(rows.in_scope)} rows in scope, {len(rows.out_of_scope)} out of scope"
    compared = f"compared with {chosen.compared} test rows, {chosen.left_out} left out"
    if not chosen.compared:
        compared = "warning: no test rows to keep out of them were found; --test names them"
    console.print(f"{found}; {compared}", highlight=False, soft_wrap=True)
    learnt = f"compared with {chosen.compared_training} training rows, {chosen.learnt} "
    learnt += "left out" if chosen.learnt_left_out else "are among them"
    if chosen.learnt and not chosen.learnt_left_out:
        learnt += ", and stay: the set is published so (--leave-out-training leaves them out)"
    if not chosen.compared_training:
        learnt = "warning: no training rows to keep out of them were found; --train names them"
    console.print(learnt, highlight=False, soft_wrap=True)


def _recalibrated(
    request: Request, former: Manifest, chosen: CalibrationSet, settings: Calibration, console: Console
) -> Manifest:
    classifier = load_classifier(request.bundle, device_for(request.bundle))
    logits = _logits(request.bundle, former, chosen, classifier, console)
    calibration = fit_calibration(settings, logits, chosen.words)
    errors = calibration_errors(logits, former.calibration.temperature, calibration.temperature)
    calibration.fitted_on += f" Rows: {chosen.files}. {errors}. Revision before: {former.revision[:12]}."
    manifest = Manifest()
    manifest.CopyFrom(former)
    manifest.calibration.CopyFrom(calibration)
    del manifest.evaluations[:]
    for golden in manifest.golden_vectors:
        answer = probabilities(prompt_logits(classifier, golden.token_ids), calibration.temperature)
        golden.probabilities[:] = answer.tolist()
    manifest.create_time.CopyFrom(Timestamp(seconds=_time(former)))
    manifest.revision = compute_revision(manifest)
    _say_changes(former, calibration, console)
    console.print(str(errors), highlight=False, soft_wrap=True)
    return manifest


def _say_changes(former: Manifest, calibration: bundle_pb2.Calibration, console: Console) -> None:
    before = former.calibration
    console.print(
        f"temperature {before.temperature:.4f} before, {calibration.temperature:.4f} after; "
        f"out of scope from {before.out_of_scope_threshold:.4f} before, {calibration.out_of_scope_threshold:.4f} after",
        highlight=False,
        soft_wrap=True,
    )
    if former.evaluations:
        console.print("the former evaluations are left out; `evaluate --write` measures anew", highlight=False)


def _logits(
    bundle: Path, former: Manifest, chosen: CalibrationSet, classifier: Qwen2ForSequenceClassification, console: Console
) -> ValidationLogits:
    encoder = PromptEncoder(bundle / "tokenizer.json", manifest_layout(former.prompt))
    with progress_bar(console) as bar:
        task = bar.add_task(f"{former.name}: calibration rows", total=len(chosen.dataset.texts))
        found = text_logits(classifier, encoder, chosen.dataset.texts, lambda: bar.advance(task))
    if not np.isfinite(found).all():
        raise BuildError(f"{bundle}: gives logits that are not finite; its weights are damaged")
    inside = len(chosen.dataset.rows.in_scope)
    return ValidationLogits(found[:inside], chosen.dataset.right, found[inside:], len(former.label_set.intents))


def _time(former: Manifest) -> int:
    """Returns SOURCE_DATE_EPOCH, or else the bundle's own time: the same rows give the same bytes."""
    given = given_time()
    return former.create_time.seconds if given is None else given


def _write(bundle: Path, manifest: Manifest, output: Path) -> None:
    partial = partial_folder(output)
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    try:
        for entry in manifest.files:
            target = partial / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / entry.path, target)
            target.chmod(0o644)
        write_manifest(partial, manifest)
        faults = verify(partial)
        if faults:
            raise BuildError(f"{output}: {faults[0]}; nothing was written")
        put_in_place(partial, output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
