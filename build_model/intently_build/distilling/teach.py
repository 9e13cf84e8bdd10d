"""The step that asks the teachers: utterances, and for each the mean of the teachers' probabilities."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intently_build.adapting.checkpoint import weight_files
from intently_build.bar import progress_bar
from intently_build.bundles.manifest import read_manifest
from intently_build.distilling.corpus import Utterance, corpus, unlabelled_files, write_corpus
from intently_build.distilling.ngrams import NgramTeacher
from intently_build.distilling.teachers import Answers, Teacher, teaching_dtype
from intently_build.recipe import DistillRecipe
from intently_build.run_folder import RunFolder
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step
from intently_build.trainer import Device, on_gpu
from intently_build.training_data import TrainingData, data_files, test_files

PROBABILITIES = "probabilities.npy"  # (utterances, labels), float16
STATES = "states.npy"  # (utterances, hidden size of the teacher), float16; there only where they are learnt from
TOOLS = ("torch", "transformers", "scikit-learn", "numpy")
Mixed = NDArray[np.float64]


def teach_step(
    path: Path,
    recipe: DistillRecipe,
    data: TrainingData,
    teachers: Mapping[str, Path],
    run: RunFolder,
    device: Device,
) -> Step:
    """Returns the step that asks `teachers`, bundles by their names in the recipe, about the recipe's utterances."""

    def make(partial: Path, journal: Journal) -> Proof:
        where = "cuda" if on_gpu(device) else "cpu"
        found = corpus(path, recipe, data)
        known = sum(each.label is not None for each in found.utterances)
        journal.say(f"  {len(found.utterances):,} utterances, {known:,} labelled")
        for what, count in found.left_out.items():
            if count:
                journal.say(f"  left out, since they are test rows: {count:,} {what}")
        made = _teach(recipe, data, teachers, found.utterances, where, partial, journal)
        return made | {"left_out_test_rows": found.left_out}

    settings = {
        "distill": recipe.distill.model_dump(mode="json", exclude={"temperature", "soft", "hard"}),
        "repeat": recipe.data.out_of_scope.repeat if recipe.data.out_of_scope else 0,
        "seed": recipe.training.seed,
        "labels": list(data.labels.names),
        "teachers": revisions(teachers),
    }
    inputs = {**data_files(path, recipe), **unlabelled_files(path, recipe), **test_files(path, recipe)}
    for name, bundle in teachers.items():
        inputs |= {f"teacher {name} {file.name}": file for file in weight_files(bundle)}
    return Step("teach", run.teaching, inputs, settings, make, TOOLS, shows_progress=True)


def revisions(teachers: Mapping[str, Path]) -> dict[str, str]:
    """Returns the revision of each teacher, which is another one wherever it would answer otherwise."""
    return {name: read_manifest(bundle).revision for name, bundle in teachers.items()}


def _teach(
    recipe: DistillRecipe,
    data: TrainingData,
    teachers: Mapping[str, Path],
    utterances: list[Utterance],
    device: str,
    partial: Path,
    journal: Journal,
) -> Proof:
    names = data.labels.names
    validation = data.validation.in_scope
    texts = [utterance.text for utterance in utterances]
    asked = [row.text for row in validation]
    mixed, checked = np.zeros((len(texts), len(names))), np.zeros((len(validation), len(names)))
    accuracies = {}
    share = (1 - recipe.distill.ngrams) / len(teachers) if teachers else 0.0
    right = np.array([row.label for row in validation])

    def add(name: str, weight: float, of_texts: Mixed, of_rows: Mixed) -> None:
        nonlocal mixed, checked
        mixed += weight * of_texts
        checked += weight * of_rows
        accuracies[name] = _accuracy(of_rows, right, len(data.labels.intents))
        journal.say(f"  {name}: validation accuracy {accuracies[name]:.4f}")

    for name, bundle in teachers.items():
        dtype = teaching_dtype(bundle, device)
        with_states = bool(recipe.distill.states)  # the teacher goes with the call: two large ones need not fit
        answers = _ask(name, Teacher(bundle, names, device, dtype), [*texts, *asked], with_states, journal)
        add(name, share, answers.probabilities[: len(texts)], answers.probabilities[len(texts) :])
        if answers.states is not None:
            np.save(partial / STATES, answers.states[: len(texts)].astype(np.float16))
    if recipe.distill.ngrams:
        rows = (*data.train.in_scope, *data.train.out_of_scope)
        with journal.console.status("fitting the n-gram teacher"):
            linear = NgramTeacher(rows, validation, len(names), recipe.distill.alter.unit)
            of_texts, of_rows = linear.probabilities(texts), linear.probabilities(asked)
        add("n-grams", recipe.distill.ngrams if teachers else 1.0, of_texts, of_rows)
    together = _accuracy(checked, right, len(data.labels.intents))
    journal.say(f"  together: validation accuracy {together:.4f}")
    write_corpus(utterances, partial)
    np.save(partial / PROBABILITIES, mixed.astype(np.float16))
    return {"utterances": len(texts), "validation_accuracy": {**accuracies, "together": together}}


def _ask(name: str, teacher: Teacher, texts: list[str], with_states: bool, journal: Journal) -> Answers:
    with progress_bar(journal.console) as bar:
        task = bar.add_task(f"asking {name}", total=len(texts))
        return teacher.answers(texts, lambda more: bar.advance(task, more), with_states, journal.say)


def _accuracy(probabilities: Mixed, right: NDArray[np.int64], intents: int) -> float:
    return float(np.mean(np.argmax(probabilities[:, :intents], axis=1) == right))
