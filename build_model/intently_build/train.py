"""`intently-build train`: a tokenizer and a small causal model from scratch."""

import shutil
from pathlib import Path

import transformers
from rich.console import Console

from intently_build.architecture import build_causal_model, count_parameters
from intently_build.errors import BuildError
from intently_build.examples import ExampleSet
from intently_build.layout import prompt_layout
from intently_build.objective import CodeRows, Objective, add_dropout
from intently_build.prompt import PromptEncoder
from intently_build.recipe import ScratchRecipe, load_recipe
from intently_build.rows import file_sha256
from intently_build.run_folder import TRAINING, RunFolder, run_identity, write_json
from intently_build.steps.digests import Digests
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal, keep_journal
from intently_build.steps.perform import Performer
from intently_build.steps.step import Proof, Step
from intently_build.tokenizer import code_token, save_tokenizer, train_tokenizer
from intently_build.trainer import Device, Task, fit, on_gpu, quiet, summary
from intently_build.training_data import TrainingData, data_files, read_training_data, rows_to_train

CPU_KV_BLOCK = 128  # tokens: vLLM caches no prefix on a CPU that is not longer
TOOLS = ("torch", "transformers", "tokenizers", "accelerate")


def train(recipe_path: Path, output: Path | None, device: Device, restart: bool, console: Console) -> Path:
    """Trains the recipe's causal model, or goes on where an earlier run stopped. Returns the run's folder.

    Raises BuildError for what the recipe, the data or the machine does not allow.
    """
    recipe, _ = load_recipe(recipe_path)
    if not isinstance(recipe, ScratchRecipe):
        raise BuildError(f"{recipe_path}: trains no model from scratch; use `intently-build run {recipe_path}`")
    data = read_training_data(recipe_path, recipe)
    run = RunFolder(output or Path("runs") / recipe.name)
    with disk_errors(run.path):
        labels = file_sha256(data_files(recipe_path, recipe)["labels"])
        run.claim(run_identity(recipe, (*data.train.files, *data.validation.files), labels), restart)
    with disk_errors(run.path), keep_journal(run.path, console) as journal:
        Performer(journal, Digests(), 1).perform(train_step(recipe_path, recipe, data, run, device))
    return run.path


def train_step(recipe_path: Path, recipe: ScratchRecipe, data: TrainingData, run: RunFolder, device: Device) -> Step:
    """Returns the step that trains the model. The run must have been claimed for the recipe."""

    def make(partial: Path, journal: Journal) -> Proof:
        on_gpu(device)
        quiet()
        transformers.set_seed(recipe.training.seed)
        encoder, tokenizer = _tokenize(recipe, data, run)
        return _train_model(recipe, data, run, encoder, tokenizer, device, partial, journal)

    settings = {"training_fingerprint": recipe.training_fingerprint()}
    return Step("train", run.model, data_files(recipe_path, recipe), settings, make, TOOLS, shows_progress=True)


def check_prefix(encoder: PromptEncoder) -> None:
    """Raises BuildError if the prefix is too short to be cached on every machine."""
    prefix = len(encoder.prefix_ids)
    if prefix <= CPU_KV_BLOCK:
        raise BuildError(f"prompt.prefix: {prefix} tokens; it must have more than {CPU_KV_BLOCK} to be cached on a CPU")


def _tokenize(
    recipe: ScratchRecipe, data: TrainingData, run: RunFolder
) -> tuple[PromptEncoder, transformers.PreTrainedTokenizerBase]:
    if not run.tokenizer.exists():
        texts = [row.text for row in (*data.train.in_scope, *data.train.out_of_scope)]
        descriptions = [label.description for label in data.labels.intents]
        made = train_tokenizer(
            [*texts, *descriptions, recipe.prompt.prefix], recipe.tokenizer.vocab_size, len(data.labels.names)
        )
        beside = run.path / ".tokenizer"
        shutil.rmtree(beside, ignore_errors=True)
        save_tokenizer(made, beside)
        beside.replace(run.tokenizer)
    encoder = PromptEncoder(run.tokenizer / "tokenizer.json", prompt_layout(recipe.prompt))
    check_prefix(encoder)
    return encoder, transformers.AutoTokenizer.from_pretrained(run.tokenizer)


def _train_model(
    recipe: ScratchRecipe,
    data: TrainingData,
    run: RunFolder,
    encoder: PromptEncoder,
    tokenizer: transformers.PreTrainedTokenizerBase,
    device: Device,
    partial: Path,
    journal: Journal,
) -> Proof:
    settings = recipe.training
    model = build_causal_model(recipe.model, len(tokenizer), recipe.limits.max_input_tokens, tokenizer.pad_token_id)
    parameters = count_parameters(model)
    journal.say(f"{recipe.name}: {parameters:,} parameters, prefix of {len(encoder.prefix_ids)} tokens")
    add_dropout(model, settings.dropout)
    codes = tokenizer.convert_tokens_to_ids([code_token(row) for row in range(len(data.labels.names))])
    task = Task(
        model,
        Objective(encoder.prefix_ids, CodeRows(codes), settings),
        ExampleSet(rows_to_train(recipe, data), encoder, settings.noise, recipe.tokenizer.vocab_size),
        ExampleSet(data.validation.in_scope, encoder, None, recipe.tokenizer.vocab_size),
        tokenizer.pad_token_id,
        len(data.labels.intents),
    )
    trainer = fit(task, settings, run, device, journal)
    trainer.model.save_pretrained(partial)
    shutil.copytree(run.tokenizer, partial, dirs_exist_ok=True)
    made = summary(trainer, parameters, TOOLS)
    write_json(partial / TRAINING, made)
    journal.say(f"validation accuracy {trainer.state.best_metric:.4f} at step {made['best_step']}")
    return made
