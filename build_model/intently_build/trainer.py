"""Trains a model, new or with an adapter, by transformers' own Trainer; goes on from its last checkpoint."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import transformers

from intently_build.architecture import LARGE
from intently_build.errors import BuildError
from intently_build.progress import TrainingProgress
from intently_build.recipe import Schedule
from intently_build.run_folder import RunFolder, write_json
from intently_build.steps.journal import Journal

Device = Literal["auto", "cpu", "cuda"]


class Loss(Protocol):
    """What a model is trained to lessen."""

    def __call__(
        self, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Returns the loss of a batch, and what else came out of it."""


class Examples(Protocol):
    """A data set as transformers' Trainer reads it."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> Any:
        """One of them."""


@dataclass(frozen=True)
class Task:
    """What is trained, on what.

    Attributes:
      model: the model, or the peft model, in training.
      objective: its loss.
      train, validation: the examples.
      collator: puts them together into batches.
      intents: how many of the labels are intents; none for a model that knows no labels and is chosen by its loss.
    """

    model: Any
    objective: Loss
    train: Examples
    validation: Examples
    collator: Callable[[Sequence[Any]], dict[str, torch.Tensor]]
    intents: int | None


class LabelTrainer(transformers.Trainer):  # type: ignore[misc]  # transformers is not typed
    """transformers' Trainer with our loss."""

    def __init__(self, objective: Loss, **kwargs: Any) -> None:
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
        with self.accelerator.autocast():  # which the Trainer has around the model's own forward alone
            loss, outputs = self._objective(model, inputs)
        return (loss, outputs) if return_outputs else loss


def quiet() -> None:
    """Lets transformers say nothing: what it has to say is of no use to who builds."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def fit(task: Task, settings: Schedule, run: RunFolder, device: Device, journal: Journal) -> LabelTrainer:
    """Trains to the end, or goes on from the run's last checkpoint. Returns the trainer with the best model in it."""
    trainer = LabelTrainer(
        task.objective,
        model=task.model,
        args=_arguments(task, settings, run, device),
        train_dataset=task.train,
        eval_dataset=task.validation,
        data_collator=task.collator,
        compute_metrics=None if task.intents is None else partial(_in_scope_accuracy, intents=task.intents),
        callbacks=[TrainingProgress(journal)],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    start = run.last_checkpoint()
    if start:
        _name_best(start, run)
        journal.say(f"going on from {start}")
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    return trainer


def _name_best(start: Path, run: RunFolder) -> None:
    """Has the checkpoint name the best one where it lies now: it names where that lay when it was written.

    Raises BuildError if the best one is gone.
    """
    path = start / "trainer_state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    if not state.get("best_model_checkpoint"):
        return
    best = run.checkpoints / f"checkpoint-{state['best_global_step']}"
    if not best.is_dir():
        raise BuildError(f"{best}: the best checkpoint of the training is gone; train with --restart")
    if state["best_model_checkpoint"] != str(best):
        write_json(path, state | {"best_model_checkpoint": str(best)})


def summary(trainer: LabelTrainer, parameters: int, tools: tuple[str, ...]) -> dict[str, Any]:
    """Returns what came out, and what made it: plain JSON."""
    return {
        f"validation_{trainer.args.metric_for_best_model}": trainer.state.best_metric,
        "best_step": trainer.state.best_global_step,
        "steps": trainer.state.global_step,
        "parameters": parameters,
        "tools": {name: version(name) for name in tools},
        "device": str(trainer.args.device),
        "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def on_gpu(device: Device) -> bool:
    """Whether to compute on a GPU. Raises BuildError if one is asked for and there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BuildError("--device cuda: PyTorch sees no GPU here; use --device cpu")
    return device != "cpu" and torch.cuda.is_available()


def _arguments(task: Task, settings: Schedule, run: RunFolder, device: Device) -> transformers.TrainingArguments:
    gpu = on_gpu(device)
    steps = -(-len(task.train) // settings.batch_size) * settings.epochs
    return transformers.TrainingArguments(
        output_dir=str(run.checkpoints),
        use_cpu=not gpu,
        bf16=gpu and sum(weight.numel() for weight in task.model.parameters()) >= LARGE,
        tf32=gpu or None,
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
        metric_for_best_model="loss" if task.intents is None else "accuracy",
        greater_is_better=task.intents is not None,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )


def _in_scope_accuracy(scored: Any, intents: int) -> dict[str, float]:
    """Returns the share of rows whose likeliest intent, never the out-of-scope label, is right."""
    return {"accuracy": float(np.mean(np.argmax(scored.predictions[:, :intents], axis=1) == scored.label_ids))}
