"""`intently-build train`: a tokenizer and a small causal model from scratch, by transformers' own Trainer."""

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers
from rich.console import Console

from intently_build.architecture import build_causal_model, count_parameters
from intently_build.errors import BuildError
from intently_build.examples import Collator, ExampleSet
from intently_build.layout import prompt_layout
from intently_build.objective import Objective, add_dropout
from intently_build.progress import TrainingProgress
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Recipe, load_recipe
from intently_build.rows import Labels, SplitRows, read_labels, read_split
from intently_build.run_folder import RunFolder, run_identity, write_json
from intently_build.tokenizer import code_token, save_tokenizer, train_tokenizer

CPU_KV_BLOCK = 128  # tokens: vLLM caches no prefix on a CPU that is not longer
TOOLS = ("torch", "transformers", "tokenizers", "accelerate")

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class TrainingData:
    """What a run reads."""

    labels: Labels
    train: SplitRows
    validation: SplitRows


class CodeTokenTrainer(transformers.Trainer):  # type: ignore[misc]  # transformers is not typed
    """transformers' Trainer with our loss."""

    def __init__(self, objective: Objective, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._objective = objective

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002  # the Trainer passes it by name
    ) -> Any:
        """Returns the loss of a batch, and the logits if asked for."""
        loss, outputs = self._objective(model, inputs)
        return (loss, outputs) if return_outputs else loss


def train(recipe_path: Path, output: Path | None, device: Device, restart: bool, console: Console) -> Path:
    """Trains the recipe's causal model, or goes on where an earlier run stopped. Returns the run's folder.

    Raises BuildError for what the recipe, the data or the machine does not allow.
    """
    recipe, _ = load_recipe(recipe_path)
    data = read_training_data(recipe_path, recipe)
    run = RunFolder(output or Path("runs") / recipe.name)
    run.claim(run_identity(recipe, (*data.train.files, *data.validation.files)), restart)
    if run.model.exists():
        console.print(f"{run.path}: already trained; --restart trains anew")
        return run.path
    transformers.logging.set_verbosity_error()  # what it has to say is of no use to who trains
    transformers.logging.disable_progress_bar()
    transformers.set_seed(recipe.training.seed)
    encoder, tokenizer = _tokenize(recipe, data, run)
    _train_model(recipe, data, run, encoder, tokenizer, device, console)
    return run.path


def read_training_data(recipe_path: Path, recipe: Recipe) -> TrainingData:
    """Returns the recipe's labels, training and validation rows. The test split is never opened. Raises BuildError."""
    folder = recipe_path.parent / recipe.data.folder
    labels = read_labels(folder, recipe.data)
    train_rows, validation = (read_split(folder, recipe.data, labels, split) for split in ("train", "validation"))
    return TrainingData(labels, train_rows, validation)


def _tokenize(
    recipe: Recipe, data: TrainingData, run: RunFolder
) -> tuple[PromptEncoder, transformers.PreTrainedTokenizerBase]:
    if not run.tokenizer.exists():
        texts = [row.text for row in (*data.train.in_scope, *data.train.out_of_scope)]
        descriptions = [label.description for label in data.labels.intents]
        made = train_tokenizer(
            [*texts, *descriptions, recipe.prompt.prefix], recipe.tokenizer.vocab_size, len(data.labels.names)
        )
        beside = run.path / ".tokenizer"
        save_tokenizer(made, beside)
        beside.replace(run.tokenizer)
    encoder = PromptEncoder(run.tokenizer / "tokenizer.json", prompt_layout(recipe.prompt))
    prefix = len(encoder.prefix_ids)
    if prefix <= CPU_KV_BLOCK:
        raise BuildError(f"prompt.prefix: {prefix} tokens; it must have more than {CPU_KV_BLOCK} to be cached on a CPU")
    return encoder, transformers.AutoTokenizer.from_pretrained(run.tokenizer)


def _train_model(
    recipe: Recipe,
    data: TrainingData,
    run: RunFolder,
    encoder: PromptEncoder,
    tokenizer: transformers.PreTrainedTokenizerBase,
    device: Device,
    console: Console,
) -> None:
    settings = recipe.training
    model = build_causal_model(recipe.model, len(tokenizer), recipe.limits.max_input_tokens, tokenizer.pad_token_id)
    console.print(f"{recipe.name}: {count_parameters(model):,} parameters, prefix of {len(encoder.prefix_ids)} tokens")
    add_dropout(model, settings.dropout)
    codes = tokenizer.convert_tokens_to_ids([code_token(row) for row in range(len(data.labels.names))])
    repeat = recipe.data.out_of_scope.repeat if recipe.data.out_of_scope else 0
    rows = (*data.train.in_scope, *data.train.out_of_scope * repeat)
    trainer = CodeTokenTrainer(
        Objective(encoder.prefix_ids, codes, settings),
        model=model,
        args=_arguments(recipe, run, device, len(rows)),
        train_dataset=ExampleSet(rows, encoder, settings.noise, recipe.tokenizer.vocab_size),
        eval_dataset=ExampleSet(data.validation.in_scope, encoder, None, recipe.tokenizer.vocab_size),
        data_collator=Collator(tokenizer.pad_token_id),
        compute_metrics=lambda scored: _in_scope_accuracy(scored, len(data.labels.intents)),
        callbacks=[TrainingProgress(console)],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    start = run.last_checkpoint()
    if start:
        console.print(f"going on from {start}")
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    _finish(run, trainer, console)


def _arguments(recipe: Recipe, run: RunFolder, device: Device, rows: int) -> transformers.TrainingArguments:
    settings = recipe.training
    on_gpu = torch.cuda.is_available() and device != "cpu"
    if device == "cuda" and not on_gpu:
        raise BuildError("--device cuda: PyTorch sees no GPU here; use --device cpu")
    steps = -(-rows // settings.batch_size) * settings.epochs
    return transformers.TrainingArguments(
        output_dir=str(run.checkpoints),
        use_cpu=not on_gpu,
        bf16=on_gpu,
        tf32=on_gpu or None,
        seed=settings.seed,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=512,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=int(steps * settings.warmup),
        weight_decay=settings.weight_decay,
        adam_beta2=0.98,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        greater_is_better=True,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )


def _in_scope_accuracy(scored: Any, intents: int) -> dict[str, float]:
    """Returns the share of rows whose likeliest intent, never the out-of-scope label, is right."""
    return {"accuracy": float(np.mean(np.argmax(scored.predictions[:, :intents], axis=1) == scored.label_ids))}


def _finish(run: RunFolder, trainer: CodeTokenTrainer, console: Console) -> None:
    beside = run.path / ".model"
    shutil.rmtree(beside, ignore_errors=True)
    trainer.model.save_pretrained(beside)
    shutil.copytree(run.tokenizer, beside, dirs_exist_ok=True)
    summary = {
        "validation_accuracy": trainer.state.best_metric,
        "best_step": trainer.state.best_global_step,
        "steps": trainer.state.global_step,
        "parameters": count_parameters(trainer.model),
        "tools": {name: version(name) for name in TOOLS},
        "device": str(trainer.args.device),
    }
    write_json(beside / "training.json", summary)
    beside.replace(run.model)
    console.print(f"{run.model}: validation accuracy {trainer.state.best_metric:.4f} at step {summary['best_step']}")
