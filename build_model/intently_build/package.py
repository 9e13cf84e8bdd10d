"""`intently-build package`: from a classifier to a bundle that a server can load."""

import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bundles.golden import golden_vector
from intently_build.bundles.manifest import MANIFEST, list_files, write_manifest
from intently_build.bundles.seal import SEAL
from intently_build.chance import AgainstChance, against_chance
from intently_build.describing import Contents, describe
from intently_build.errors import BuildError
from intently_build.fitting import ValidationLogits, fit_calibration
from intently_build.layout import prompt_layout
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Recipe
from intently_build.reference import device_for, load_classifier, text_logits
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step

NOTICES = "notices"  # folder of the bundle: licences and sources of the data
STORED = ("config.json", "quantize_config.json", "tokenizer.json", "tokenizer_config.json")
STORED_PATTERNS = ("*.safetensors", "*.safetensors.index.json")


def package_step(contents: Contents, output: Path, record: Path) -> Step:
    """Returns the step that writes the bundle to `output`; its record, which is no part of it, goes to `record`."""
    notices = {f"notice {name}": path for name, path in notice_files(contents.recipe, contents.path).items()}
    settings = {
        "recipe": sha256(contents.text.encode()).hexdigest(),
        "origin": asdict(contents.origin),
        "code_token_ids": list(contents.code_ids),
    }

    def make(partial: Path, journal: Journal) -> Proof:
        return _write_bundle(contents, partial, journal)

    inputs = {"checkpoint": contents.checkpoint, **contents.files, **notices}
    return Step(record.name, output, inputs, settings, make, record=record, changing=(MANIFEST, SEAL))


def notice_files(recipe: Recipe, path: Path) -> dict[str, Path]:
    """Returns the notices of all data that the recipe at `path` names, by the names that they have in the bundle.

    Raises BuildError if one is missing.
    """
    found = {name: path.parent / recipe.data.folder / name for name in recipe.data.notices}
    for earlier in recipe.earlier_data:
        found |= {f"{earlier.name}.{name}": path.parent / earlier.folder / name for name in earlier.notices}
    rows = [path.parent / earlier.folder / name for earlier in recipe.earlier_data for name in earlier.train]
    for file in (*found.values(), *rows):
        if not file.is_file():
            raise BuildError(f"{file}: no such file; data or earlier_data of the recipe names it")
    return found


def _write_bundle(contents: Contents, folder: Path, journal: Journal) -> Proof:
    _copy_checkpoint(contents.checkpoint, folder)
    _copy_notices(contents, folder)
    manifest = describe(contents)
    logits = _fill_answers(manifest, contents, folder)
    found = _check_chance(against_chance(logits), contents)
    journal.say(f"  {found.right} of {found.rows} validation rows in scope are right as stored: {found.accuracy:.2%}")
    manifest.files.extend(list_files(folder, NOTICES))
    manifest.revision = compute_revision(manifest)
    write_manifest(folder, manifest)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    journal.say(f"  revision {manifest.revision[:12]}, {size / 1e6:.2f} MB")
    return {
        "revision": manifest.revision,
        "bytes": size,
        "validation_accuracy": found.accuracy,
        "most_frequent_intent": found.guess,
        "temperature": manifest.calibration.temperature,
        "golden_vectors": len(manifest.golden_vectors),
    }


def _copy_checkpoint(checkpoint: Path, folder: Path) -> None:
    found = {path for pattern in (*STORED, *STORED_PATTERNS) for path in checkpoint.glob(pattern)}
    for path in sorted(found):
        shutil.copyfile(path, folder / path.name)
        (folder / path.name).chmod(0o644)


def _copy_notices(contents: Contents, folder: Path) -> None:
    target = folder / NOTICES
    target.mkdir()
    for name, path in notice_files(contents.recipe, contents.path).items():
        shutil.copyfile(path, target / name)


def _fill_answers(manifest: bundle_pb2.BundleManifest, contents: Contents, folder: Path) -> ValidationLogits:
    """Fills in calibration and golden vectors, by the checkpoint as it is stored in `folder`. Returns its logits."""
    recipe, data = contents.recipe, contents.data
    classifier = load_classifier(folder, device_for(folder))
    encoder = PromptEncoder(folder / "tokenizer.json", prompt_layout(recipe.prompt))
    validation = data.validation
    logits = ValidationLogits(
        in_scope=text_logits(classifier, encoder, [row.text for row in validation.in_scope]),
        labels=np.array([row.label for row in validation.in_scope]),
        out_of_scope=text_logits(classifier, encoder, [row.text for row in validation.out_of_scope]),
        intents=len(data.labels.intents),
    )
    if not np.isfinite(logits.in_scope).all():
        raise BuildError(f"{contents.checkpoint}: gives logits that are not finite; its weights are damaged")
    manifest.calibration.CopyFrom(fit_calibration(recipe.calibration, logits))
    temperature = manifest.calibration.temperature
    manifest.golden_vectors.extend(
        golden_vector(example, classifier, encoder, temperature, data.labels) for example in recipe.golden
    )
    return logits


def _check_chance(found: AgainstChance, contents: Contents) -> AgainstChance:
    """Raises BuildError for a model that knows nothing, unless the recipe says that it may."""
    if not found.better and not contents.recipe.evaluate.may_be_chance:
        raise BuildError(
            f"{contents.checkpoint}: {found.right} of {found.rows} validation rows are right ({found.accuracy:.1%}), "
            f"no better than a guess (the most frequent intent has {found.guess:.1%}): do base, adapter, code tokens "
            "and prompt belong together? If it is meant, as with random weights, say evaluate.may_be_chance: true"
        )
    return found
