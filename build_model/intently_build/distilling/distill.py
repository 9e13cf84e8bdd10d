"""`intently-build distill`: the step in which a student learns from what its teachers said."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import transformers

from intently_build.architecture import count_parameters
from intently_build.beginning import Beginning, from_checkpoint, from_scratch
from intently_build.distilling.corpus import Utterance, read_corpus
from intently_build.distilling.learning import TaughtCollator, TaughtObjective, TaughtSet
from intently_build.distilling.teach import PROBABILITIES, STATES
from intently_build.errors import BuildError
from intently_build.examples import NO_TARGET, ExampleSet
from intently_build.objective import CodeRows, add_dropout
from intently_build.recipe import DistillRecipe
from intently_build.rows import Row
from intently_build.run_folder import RunFolder
from intently_build.steps.journal import Journal
from intently_build.steps.step import RECORD, Proof, Step, read_record
from intently_build.train import store_trained
from intently_build.trainer import Device, Task, fit, on_gpu, quiet
from intently_build.training_data import TrainingData, data_files

TOOLS = ("torch", "transformers", "tokenizers", "accelerate")


def distill_step(
    path: Path, recipe: DistillRecipe, data: TrainingData, student: Path | None, run: RunFolder, device: Device
) -> Step:
    """Returns the step that trains the student on what lies in `run.teaching`. The run must have been claimed.

    Args:
      path, recipe, data: the recipe.
      student: the checkpoint to begin with, which has all tokens; None to begin from scratch.
      run: its folder.
      device: where to train.
    """

    def make(partial: Path, journal: Journal) -> Proof:
        on_gpu(device)
        quiet()
        transformers.set_seed(recipe.training.seed)
        utterances = read_corpus(run.teaching)
        run.claim_checkpoints(_digest(run.teaching))
        start = _begin(recipe, data, student, run)
        prefix = len(start.encoder.prefix_ids)
        journal.say(f"{recipe.name}: {count_parameters(start.model):,} parameters, prefix of {prefix} tokens")
        add_dropout(start.model, recipe.training.dropout)
        repeated = data.repeated.tell(journal)
        trainer = fit(_task(recipe, data, start, utterances, run), recipe.training, run, device, journal)
        return store_trained(trainer, start, partial, TOOLS, repeated, journal)

    settings = {"training_fingerprint": recipe.training_fingerprint()}
    inputs = {"teaching": run.teaching, **data_files(path, recipe)} | ({"student": student} if student else {})
    return Step("distill", run.model, inputs, settings, make, TOOLS, shows_progress=True)


def _digest(teaching: Path) -> str:
    """Returns a digest of all that the student learns from: checkpoints of another one are of no use."""
    record = read_record(teaching / RECORD)
    return sha256(json.dumps(record.outputs if record else {}, sort_keys=True).encode()).hexdigest()


def _begin(recipe: DistillRecipe, data: TrainingData, student: Path | None, run: RunFolder) -> Beginning:
    if student is not None:
        return from_checkpoint(recipe, student, data.labels)
    if recipe.tokenizer is None or recipe.model is None:
        raise BuildError("the student: give tokenizer and model, or distill.student")
    texts = [row.text for row in (*data.train.in_scope, *data.train.out_of_scope)]
    return from_scratch(recipe, recipe.tokenizer, recipe.model, data.labels, texts, run)


def _task(
    recipe: DistillRecipe, data: TrainingData, start: Beginning, utterances: list[Utterance], run: RunFolder
) -> Task:
    settings = recipe.training
    rows = [Row(each.text, NO_TARGET if each.label is None else each.label) for each in utterances]
    examples = ExampleSet(rows, start.encoder, settings.noise, start.ordinary_tokens)
    states = run.teaching / STATES
    taught = TaughtSet(
        examples,
        np.load(run.teaching / PROBABILITIES, mmap_mode="r"),
        np.load(states, mmap_mode="r") if states.exists() else None,
    )
    return Task(
        start.model,
        TaughtObjective(start.encoder.prefix_ids, CodeRows(start.codes), settings, recipe.distill),
        taught,
        ExampleSet(data.validation.in_scope, start.encoder, None, start.ordinary_tokens),
        TaughtCollator(start.pad_token_id),
        len(data.labels.intents),
    )
