"""`intently-build train`: a tokenizer and a small causal model from scratch."""

from pathlib import Path

import transformers
from rich.console import Console

from intently_build.architecture import count_parameters
from intently_build.beginning import Beginning, copy_tokenizer_files, from_scratch
from intently_build.errors import BuildError
from intently_build.examples import Collator, ExampleSet
from intently_build.objective import CodeRows, Objective, add_dropout
from intently_build.recipe import ScratchRecipe, load_recipe
from intently_build.rows import file_sha256
from intently_build.run_folder import TRAINING, RunFolder, run_identity, write_json
from intently_build.steps.digests import Digests
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal, keep_journal
from intently_build.steps.perform import Performer
from intently_build.steps.step import Proof, Step
from intently_build.trainer import Device, LabelTrainer, Task, fit, on_gpu, quiet, summary
from intently_build.training_data import TrainingData, data_files, read_training_data, rows_to_train

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
        texts = [row.text for row in (*data.train.in_scope, *data.train.out_of_scope)]
        start = from_scratch(recipe, recipe.tokenizer, recipe.model, data.labels, texts, run)
        prefix = len(start.encoder.prefix_ids)
        journal.say(f"{recipe.name}: {count_parameters(start.model):,} parameters, prefix of {prefix} tokens")
        add_dropout(start.model, recipe.training.dropout)
        repeated = data.repeated.tell(journal)
        trainer = fit(_task(recipe, data, start), recipe.training, run, device, journal)
        return store_trained(trainer, start, partial, TOOLS, repeated, journal)

    settings = {"training_fingerprint": recipe.training_fingerprint()}
    return Step("train", run.model, data_files(recipe_path, recipe), settings, make, TOOLS, shows_progress=True)


def store_trained(
    trainer: LabelTrainer, start: Beginning, partial: Path, tools: tuple[str, ...], repeated: Proof, journal: Journal
) -> Proof:
    """Writes the best model and its tokenizer. Returns what came out, and how far its rows repeat test rows."""
    trainer.model.save_pretrained(partial)
    copy_tokenizer_files(start.tokenizer, partial)
    for path in partial.iterdir():
        path.chmod(0o644)
    made = summary(trainer, count_parameters(trainer.model), tools) | {"repeated_test_rows": repeated}
    write_json(partial / TRAINING, made)
    journal.say(f"validation accuracy {trainer.state.best_metric:.4f} at step {made['best_step']}")
    return made


def _task(recipe: ScratchRecipe, data: TrainingData, start: Beginning) -> Task:
    settings = recipe.training
    return Task(
        start.model,
        Objective(start.encoder.prefix_ids, CodeRows(start.codes), settings),
        ExampleSet(rows_to_train(recipe, data), start.encoder, settings.noise, start.ordinary_tokens),
        ExampleSet(data.validation.in_scope, start.encoder, None, start.ordinary_tokens),
        Collator(start.pad_token_id),
        len(data.labels.intents),
    )
