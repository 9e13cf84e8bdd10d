"""The step from a model to the classifier that is served: its head cut out of the causal model, or trained already."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer

from intently_build.adapting.checkpoint import forget_version
from intently_build.adapting.comparison import proving_device
from intently_build.adapting.probes import Probes
from intently_build.errors import BuildError
from intently_build.head import cut_head, prove_head
from intently_build.recipe import AdapterRecipe, AdaptRecipe, PublishedRecipe, Recipe
from intently_build.reference import load_classifier
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step
from intently_build.tokenizer import code_token
from intently_build.trainer import quiet

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
TOOLS = ("torch", "transformers", "safetensors")
VERSION = 2  # 2: the config does not name the version of transformers, and its keys are sorted


def head_step(model: Path, folder: Path, names: Sequence[str], codes: Sequence[str], probes: Probes) -> Step:
    """Returns the step that makes the classifier in bfloat16.

    Args:
      model: a causal checkpoint, or with no `codes` a classifier with a trained head.
      folder: where the classifier will stand.
      names: the label of each row of the head.
      codes: the token that stands for each row of the head; none if the head was trained.
      probes: prompts that the classifier is proved on.
    """

    def make(partial: Path, journal: Journal) -> Proof:
        quiet()
        ids = code_ids(model / TOKENIZER_FILES[0], codes)
        proof = _cut(model, partial, names, ids, probes) if codes else _take(model, partial, names, probes)
        worst = proof["largest_probability_difference"]
        against = "the causal model's masked softmax" if codes else "the head applied to the decoder's last state"
        journal.say(f"  head: {len(names)} rows, within {worst:.0e} of {against}")
        return proof | {"code_token_ids": ids}

    settings = {"labels": list(names), "code_tokens": list(codes), "probes": list(probes.texts)}
    return Step("head", folder, {"model": model}, settings, make, TOOLS, version=VERSION)


def code_tokens(recipe: Recipe, rows: int) -> tuple[str, ...]:
    """Returns the token that stands for each row of the head; none if the head is trained. Raises BuildError."""
    if isinstance(recipe, AdaptRecipe) and recipe.adapt.head == "trained":
        return ()
    if isinstance(recipe, AdapterRecipe) and recipe.adapter.head == "trained":
        return ()
    named: tuple[str, ...] = ()
    if isinstance(recipe, AdapterRecipe):
        named = recipe.adapter.code_tokens
    if isinstance(recipe, PublishedRecipe):
        named = recipe.published.code_tokens
    if named and len(named) != rows:
        raise BuildError(f"code_tokens: {len(named)} tokens for {rows} labels, out of scope counted")
    return named or tuple(code_token(row) for row in range(rows))


def code_ids(tokenizer: Path, codes: Sequence[str]) -> list[int]:
    """Returns the id of each code token. Raises BuildError if one is not a token of its own, or stands twice."""
    vocabulary = Tokenizer.from_file(str(tokenizer))
    ids: list[int] = []
    for code in codes:
        found = vocabulary.token_to_id(code)
        if found is None:
            raise BuildError(f"{tokenizer}: has no token {code!r}, which is to stand for a label")
        ids.append(int(found))
    if len(set(ids)) < len(ids):
        raise BuildError("code_tokens: a token stands for two labels")
    return ids


def _cut(model: Path, folder: Path, names: Sequence[str], ids: list[int], probes: Probes) -> Proof:
    causal = transformers.Qwen2ForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    rows = causal.config.vocab_size
    if max(ids) >= rows:
        raise BuildError(f"{model}: the code tokens go up to {max(ids)}, and the model has rows for {rows} tokens")
    _save(cut_head(causal, ids, names), model, folder)
    prompts = probes.ids(folder / TOKENIZER_FILES[0], rows)
    device = proving_device()
    worst = prove_head(causal.float().eval().to(device), load_classifier(folder).to(device), ids, prompts)
    return {"prompts": len(prompts), "largest_probability_difference": worst}


def _take(model: Path, folder: Path, names: Sequence[str], probes: Probes) -> Proof:
    classifier: Any = transformers.Qwen2ForSequenceClassification.from_pretrained(model, dtype=torch.bfloat16)
    if classifier.config.num_labels != len(names):
        raise BuildError(
            f"{model}: its head has {classifier.config.num_labels} rows, the label set {len(names)} labels"
        )
    classifier.config.id2label = dict(enumerate(names))
    classifier.config.label2id = {name: row for row, name in enumerate(names)}
    _save(classifier, model, folder)
    stored = load_classifier(folder)
    prompts = probes.ids(folder / TOKENIZER_FILES[0], classifier.config.vocab_size)
    worst = max(_difference(classifier.float().eval(), stored, prompt) for prompt in prompts)
    if not worst <= 1e-6:
        raise BuildError(f"{model}: the stored classifier differs from the trained one by {worst:.1e} in a probability")
    return {"prompts": len(prompts), "largest_probability_difference": worst}


def _difference(trained: Any, stored: Any, prompt: list[int]) -> float:
    """Returns the largest difference between the stored classifier and the head applied to the last hidden state."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        wanted = trained.score(trained.model(input_ids=ids).last_hidden_state[0, -1]).softmax(-1)
        got = stored(input_ids=ids).logits[0].softmax(-1)
    return float(np.abs((wanted - got).numpy()).max())


def _save(classifier: Any, model: Path, folder: Path) -> None:
    classifier.save_pretrained(folder)
    forget_version(folder)
    copy_tokenizer(model, folder)
    for path in folder.iterdir():
        path.chmod(0o644)


def copy_tokenizer(model: Path, folder: Path) -> None:
    """Copies what the server reads of the tokenizer, byte by byte."""
    for name in TOKENIZER_FILES:
        if (model / name).is_file():
            shutil.copyfile(model / name, folder / name)
