"""`intently-build adapt`: trains LoRA on a base; labels are code tokens, or rows of a head that is trained too."""

import json
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer

from intently_build.adapting.adapter import CONFIG, WEIGHTS
from intently_build.adapting.checkpoint import TOKENIZER, Checkpoint, read_checkpoint, weight_files
from intently_build.adapting.lora import AdaptedCodes, AdaptedScore, add_lora
from intently_build.adapting.matching import BASE, base_identity
from intently_build.beginning import check_prefix
from intently_build.errors import BuildError
from intently_build.examples import Collator, ExampleSet
from intently_build.head_step import code_ids, code_tokens
from intently_build.layout import prompt_layout
from intently_build.objective import Objective, add_dropout
from intently_build.prompt import PromptEncoder
from intently_build.recipe import AdaptRecipe
from intently_build.run_folder import TRAINING, RunFolder, write_json
from intently_build.steps.digests import Digests
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step
from intently_build.trainer import Device, Task, fit, on_gpu, quiet, summary
from intently_build.training_data import TrainingData, data_files, rows_to_train

TOOLS = ("torch", "transformers", "peft", "accelerate", "tokenizers")


def adapt_step(
    recipe_path: Path,
    recipe: AdaptRecipe,
    data: TrainingData,
    base: Path,
    run: RunFolder,
    device: Device,
    digests: Digests,
) -> Step:
    """Returns the step that trains the adapter on `base`, which has all tokens. The run must have been claimed."""

    def make(partial: Path, journal: Journal) -> Proof:
        quiet()
        transformers.set_seed(recipe.training.seed)
        checkpoint = read_checkpoint(base)
        return _adapt(recipe, data, checkpoint, run, device, partial, digests, journal)

    settings = {"training_fingerprint": recipe.training_fingerprint()}
    files = [*weight_files(base), base / TOKENIZER]  # its config names versions, which change nothing
    inputs = {**{f"base {file.name}": file for file in files}, **data_files(recipe_path, recipe)}
    return Step("adapt", run.adapter, inputs, settings, make, _tools(recipe), shows_progress=True)


def _tools(recipe: AdaptRecipe) -> tuple[str, ...]:
    return (*TOOLS, "bitsandbytes") if recipe.adapt.lora.quantized_base else TOOLS


def _adapt(
    recipe: AdaptRecipe,
    data: TrainingData,
    base: Checkpoint,
    run: RunFolder,
    device: Device,
    partial: Path,
    digests: Digests,
    journal: Journal,
) -> Proof:
    names = data.labels.names
    codes = code_tokens(recipe, len(names))
    ids = code_ids(base.folder / TOKENIZER, codes)
    encoder = PromptEncoder(base.folder / TOKENIZER, prompt_layout(recipe.prompt))
    check_prefix(encoder)
    _check_positions(recipe, base)
    model = add_lora(recipe, base, ids, len(names), on_gpu(device))
    trained, whole = model.get_nb_trainable_parameters()  # which knows that four bits are half a byte
    journal.say(f"{recipe.name}: {trained:,} of {whole:,} parameters are trained")
    add_dropout(model, recipe.training.dropout)
    repeated = data.repeated.tell(journal)
    trainer = fit(_task(recipe, data, base, model, encoder, ids), recipe.training, run, device, journal)
    trainer.model.save_pretrained(partial, save_embedding_layers=False)  # it would look for the base on the Hub
    _tidy(partial, recipe.adapt.base)
    (partial / BASE).write_text(json.dumps(base_identity(base, digests), indent=2) + "\n", encoding="utf-8")
    made = summary(trainer, whole, _tools(recipe)) | {"trained_parameters": trained, "repeated_test_rows": repeated}
    write_json(partial / TRAINING, made)
    journal.say(f"validation accuracy {trainer.state.best_metric:.4f} at step {made['best_step']}")
    return made


def _task(
    recipe: AdaptRecipe, data: TrainingData, base: Checkpoint, model: Any, encoder: PromptEncoder, ids: list[int]
) -> Task:
    ordinary = Tokenizer.from_file(str(base.folder / TOKENIZER)).get_vocab_size(with_added_tokens=False)
    readout = AdaptedCodes(ids) if ids else AdaptedScore()
    padding = base.config.get("pad_token_id")
    return Task(
        model,
        Objective(encoder.prefix_ids, readout, recipe.training),
        ExampleSet(rows_to_train(recipe, data), encoder, recipe.training.noise, ordinary),
        ExampleSet(data.validation.in_scope, encoder, None, ordinary),
        Collator(int(padding) if padding is not None else 0),  # what fills a batch up is never looked at
        len(data.labels.intents),
    )


def _check_positions(recipe: AdaptRecipe, base: Checkpoint) -> None:
    positions = base.config.get("max_position_embeddings", 0)
    if recipe.limits.max_input_tokens > positions:
        raise BuildError(
            f"limits.max_input_tokens: {recipe.limits.max_input_tokens}, and {base.folder} takes {positions} tokens"
        )


def _tidy(folder: Path, base: str) -> None:
    """Leaves the adapter alone, in the same bytes wherever it was trained: no model card, no path, no order of sets."""
    kept = (CONFIG, WEIGHTS)
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    for key in ("target_modules", "modules_to_save"):
        if isinstance(config.get(key), list):
            config[key] = sorted(config[key])
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)
