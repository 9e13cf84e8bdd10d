"""`intently-build package`: from a training run to a bundle that a server can load."""

import json
import shutil
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import transformers
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from intently.v1 import bundle_pb2
from intently.v1.revision import compute_revision
from intently_build.bundle import list_files, write_manifest
from intently_build.errors import BuildError
from intently_build.fitting import ValidationLogits, fit_calibration
from intently_build.golden import golden_vector
from intently_build.head import cut_head, prove_head
from intently_build.layout import prompt_layout
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Recipe, load_recipe
from intently_build.reference import load_classifier, text_logits
from intently_build.rows import Label, Labels
from intently_build.run_folder import RunFolder, run_identity
from intently_build.tokenizer import code_token
from intently_build.train import TrainingData, read_training_data

NOTICES = "notices"  # folder of the bundle: licences and sources of the data
PROOFS = 32  # prompts on which the cut head is compared with the causal model
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def package(recipe_path: Path, run_path: Path, output: Path, replace: bool, console: Console) -> None:
    """Writes the bundle of a complete run to `output`.

    Raises BuildError if the run is another recipe's or not complete, or if `output` exists and `replace` is false.
    """
    recipe, text = load_recipe(recipe_path)
    data = read_training_data(recipe_path, recipe)
    run = RunFolder(run_path)
    run.check(run_identity(recipe, (*data.train.files, *data.validation.files)))
    if not run.model.exists():
        raise BuildError(f"{run.path}: the training is not complete; run `intently-build train {recipe_path}` again")
    if output.exists() and not replace:
        raise BuildError(f"{output}: exists; give --replace to write it anew")
    beside = output.parent / f".{output.name}.partial"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    transformers.logging.disable_progress_bar()
    codes = _write_checkpoint(run, recipe, data, beside, console)
    _copy_notices(recipe_path.parent / recipe.data.folder, recipe, beside)
    manifest = _manifest(recipe, text, data, run, codes)
    _fill_answers(manifest, recipe, data, beside)
    manifest.files.extend(list_files(beside, NOTICES))
    manifest.revision = compute_revision(manifest)
    write_manifest(beside, manifest)
    _put_in_place(beside, output)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    console.print(f"{output}: revision {manifest.revision[:12]}, {size / 1e6:.2f} MB", highlight=False)


def _write_checkpoint(run: RunFolder, recipe: Recipe, data: TrainingData, folder: Path, console: Console) -> list[int]:
    """Writes the classifier in bfloat16 with its tokenizer, and proves it. Returns the ids of the code tokens."""
    names = data.labels.names
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.model)
    codes: list[int] = tokenizer.convert_tokens_to_ids([code_token(row) for row in range(len(names))])
    causal = transformers.Qwen2ForCausalLM.from_pretrained(run.model, dtype=torch.bfloat16)
    cut_head(causal, codes, names).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copyfile(run.model / name, folder / name)
    for path in folder.iterdir():
        path.chmod(0o644)
    encoder = PromptEncoder(folder / "tokenizer.json", prompt_layout(recipe.prompt))
    rows = data.validation.in_scope
    prompts = [encoder.encode(row.text) for row in rows[:: -(-len(rows) // PROOFS)]]
    worst = prove_head(causal.float().eval(), load_classifier(folder), codes, prompts)
    console.print(f"head: {len(names)} rows, within {worst:.0e} of the causal model's masked softmax", highlight=False)
    return codes


def _copy_notices(source: Path, recipe: Recipe, folder: Path) -> None:
    target = folder / NOTICES
    target.mkdir()
    for name in recipe.data.notices:
        if not (source / name).is_file():
            raise BuildError(f"{source / name}: no such file; data.notices names it")
        shutil.copyfile(source / name, target / name)


def _fill_answers(manifest: bundle_pb2.BundleManifest, recipe: Recipe, data: TrainingData, folder: Path) -> None:
    """Fills in calibration and golden vectors, by the checkpoint as it is stored in `folder`."""
    classifier = load_classifier(folder)
    encoder = PromptEncoder(folder / "tokenizer.json", prompt_layout(recipe.prompt))
    validation = data.validation
    logits = ValidationLogits(
        in_scope=text_logits(classifier, encoder, [row.text for row in validation.in_scope]),
        labels=np.array([row.label for row in validation.in_scope]),
        out_of_scope=text_logits(classifier, encoder, [row.text for row in validation.out_of_scope]),
        intents=len(data.labels.intents),
    )
    manifest.calibration.CopyFrom(fit_calibration(recipe.calibration, logits))
    temperature = manifest.calibration.temperature
    manifest.golden_vectors.extend(
        golden_vector(example, classifier, encoder, temperature, data.labels) for example in recipe.golden
    )


def _manifest(
    recipe: Recipe, text: str, data: TrainingData, run: RunFolder, codes: list[int]
) -> bundle_pb2.BundleManifest:
    created = Timestamp()
    created.FromDatetime(datetime.now(UTC).replace(microsecond=0))
    return bundle_pb2.BundleManifest(
        format_version=1,
        name=recipe.name,
        create_time=created,
        language_codes=recipe.languages,
        label_set=_label_set(recipe, data.labels),
        prompt=_prompt(recipe),
        head=bundle_pb2.Head(kind=bundle_pb2.HEAD_KIND_CODE_TOKENS, code_token_ids=codes),
        limits=bundle_pb2.Limits(
            max_input_tokens=recipe.limits.max_input_tokens, max_context_turns=recipe.limits.max_context_turns
        ),
        quantization=bundle_pb2.Quantization(method="none", bits=16, dtype="bfloat16"),
        origin=_origin(recipe, text, data, run),
    )


def _label_set(recipe: Recipe, labels: Labels) -> bundle_pb2.LabelSet:
    def intent(label: Label) -> bundle_pb2.Intent:
        return bundle_pb2.Intent(name=label.name, description=label.description, domain=label.domain)

    label_set = bundle_pb2.LabelSet(
        version=recipe.label_set_version, intents=[intent(label) for label in labels.intents]
    )
    if labels.out_of_scope:
        label_set.out_of_scope.CopyFrom(intent(labels.out_of_scope))
    return label_set


def _prompt(recipe: Recipe) -> bundle_pb2.Prompt:
    prompt = recipe.prompt
    return bundle_pb2.Prompt(
        prefix=prompt.prefix,
        utterance_open=prompt.utterance_open,
        suffix=prompt.suffix,
        turns=bundle_pb2.TurnLayout(**prompt.turns.model_dump()),
    )


def _origin(recipe: Recipe, text: str, data: TrainingData, run: RunFolder) -> bundle_pb2.Origin:
    summary = json.loads(run.summary.read_text())
    return bundle_pb2.Origin(
        recipe=text,
        recipe_sha256=sha256(text.encode()).hexdigest(),
        data=[
            bundle_pb2.DataSource(
                name=f"{recipe.data.name}/{name}",
                license=recipe.data.license,
                sha256=digest,
                attribution=recipe.data.attribution,
            )
            for name, digest in data.train.files
        ],
        tools=summary["tools"],
        parameters=summary["parameters"],
    )


def _put_in_place(beside: Path, output: Path) -> None:
    old = output.parent / f".{output.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    beside.rename(output)
    shutil.rmtree(old, ignore_errors=True)
