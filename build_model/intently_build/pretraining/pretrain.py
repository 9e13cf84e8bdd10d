"""`intently-build pretrain`: a tokenizer and a causal model that others are built on."""

from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from rich.console import Console
from torch.nn import functional

from intently_build.adapting.checkpoint import TOKENIZER
from intently_build.architecture import build_causal_model, count_parameters
from intently_build.beginning import copy_tokenizer_files, make_tokenizer
from intently_build.errors import BuildError
from intently_build.examples import NO_TARGET, Collator
from intently_build.objective import add_dropout
from intently_build.pretraining.documents import Document, DocumentSet, base_files, read_documents, read_held_out
from intently_build.recipe import Pretrain, PretrainRecipe, load_pretraining
from intently_build.run_folder import TRAINING, RunFolder, RunIdentity, write_json
from intently_build.steps.digests import Digests
from intently_build.steps.disk import disk_errors
from intently_build.steps.journal import Journal, keep_journal
from intently_build.steps.perform import Performer
from intently_build.steps.step import Proof, Step
from intently_build.trainer import Device, Task, fit, on_gpu, quiet, summary

TOOLS = ("torch", "transformers", "tokenizers", "accelerate")


class NextToken:
    """The loss of a batch: cross-entropy of each token, given those before it."""

    def __call__(
        self, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Returns the loss; nothing else is of use."""
        at = batch["targets"] != NO_TARGET
        states = model.model(input_ids=batch["tail"], use_cache=False).last_hidden_state[at]
        logits = (states @ model.lm_head.weight.T).float()
        return functional.cross_entropy(logits, batch["targets"][at]), {}


def pretrain(path: Path, output: Path | None, device: Device, restart: bool, console: Console) -> Path:
    """Trains the base of the recipe at `path`, or goes on where an earlier run stopped. Returns the run's folder.

    Raises BuildError for what the recipe, the data or the machine does not allow.
    """
    recipe = load_pretraining(path)
    on_gpu(device)
    run, digests = RunFolder(output or Path("runs") / recipe.name), Digests()
    with disk_errors(run.path):
        run.claim(pretraining_identity(path), restart)
    with disk_errors(run.path), keep_journal(run.path, console) as journal:
        Performer(journal, digests, 1).perform(pretrain_step(path, recipe, run, device))
    return run.path


def pretraining_identity(path: Path) -> RunIdentity:
    """Returns what the base of the recipe at `path` is trained from. Raises BuildError."""
    recipe, digests = load_pretraining(path), Digests()
    files = base_files(path, recipe.pretrain)
    return RunIdentity(recipe.training_fingerprint(), {name: digests.file(file) for name, file in files.items()})


def pretrain_step(path: Path, recipe: PretrainRecipe, run: RunFolder, device: Device) -> Step:
    """Returns the step that trains the base. The run must have been claimed for the recipe."""

    def make(partial: Path, journal: Journal) -> Proof:
        quiet()
        transformers.set_seed(recipe.training.seed)
        (train, validation), compared = _documents(path, recipe.pretrain, journal)
        if not run.tokenizer.exists():
            texts = [piece for document in train for piece in (document.text, document.words)]
            make_tokenizer(texts, recipe.tokenizer, 0, run)
        tokenizer = transformers.AutoTokenizer.from_pretrained(run.tokenizer)
        model = build_causal_model(recipe.model, len(tokenizer), recipe.positions, tokenizer.pad_token_id)
        parameters = count_parameters(model)
        journal.say(f"{recipe.name}: {parameters:,} parameters, {len(train):,} texts")
        add_dropout(model, recipe.training.dropout)
        known, asked = (DocumentSet(each, run.tokenizer / TOKENIZER, recipe.pretrain) for each in (train, validation))
        task = Task(model, NextToken(), known, asked, Collator(tokenizer.pad_token_id), None)
        trainer = fit(task, recipe.training, run, device, journal)
        trainer.model.save_pretrained(partial)
        copy_tokenizer_files(run.tokenizer, partial)
        for file in partial.iterdir():
            file.chmod(0o644)
        made = summary(trainer, parameters, TOOLS) | {"left_out_test_rows": compared}
        write_json(partial / TRAINING, made)
        journal.say(f"validation loss {made['validation_loss']:.4f} a token at step {made['best_step']}")
        return made

    settings = {"training_fingerprint": recipe.training_fingerprint()}
    inputs = base_files(path, recipe.pretrain)
    return Step("pretrain", run.model, inputs, settings, make, TOOLS, shows_progress=True)


def _documents(path: Path, layout: Pretrain, journal: Journal) -> tuple[tuple[list[Document], ...], dict[str, int]]:
    """Returns the training and validation documents that are no test rows, and how many were left out. Says so."""
    held_out = read_held_out(path, layout.test)
    found = {split: read_documents(path, layout.sources, split) for split in ("train", "validation")}
    kept = {split: held_out.without(each, lambda document: document.text) for split, each in found.items()}
    left_out = {split: len(found[split]) - len(kept[split]) for split in found}
    if not held_out:
        journal.say("  no test rows to keep out: pretrain.test of the recipe names none")
    else:
        journal.say(
            f"  {left_out['train']} training and {left_out['validation']} validation texts are among "
            f"{len(held_out)} test rows and are left out"
        )
    for split, documents in kept.items():
        if not documents:
            raise BuildError(f"{path}: pretrain.sources: all {split} texts are test rows; name others")
    return tuple(kept.values()), {"test": len(held_out), **left_out}
