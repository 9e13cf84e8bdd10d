"""The model that a training begins with, and its tokenizer: made from nothing, or a causal checkpoint that is there."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from intently_build.adapting.checkpoint import TOKENIZER, TOKENIZER_FILES, read_checkpoint
from intently_build.architecture import build_causal_model
from intently_build.errors import BuildError
from intently_build.head_step import code_ids
from intently_build.layout import prompt_layout
from intently_build.prompt import PromptEncoder
from intently_build.recipe import Architecture, Recipe, TokenizerSize
from intently_build.rows import Labels
from intently_build.run_folder import RunFolder
from intently_build.tokenizer import code_token, save_tokenizer, train_tokenizer

CPU_KV_BLOCK = 128  # tokens: vLLM caches no prefix on a CPU that is not longer


@dataclass(frozen=True)
class Beginning:
    """A causal model before it is trained.

    Attributes:
      model: with its weights.
      tokenizer: the folder of its tokenizer.
      encoder: lays out the recipe's prompts.
      codes: the token that stands for each label.
      pad_token_id: what batches are filled with.
      ordinary_tokens: how many tokens are no special ones.
    """

    model: Any
    tokenizer: Path
    encoder: PromptEncoder
    codes: list[int]
    pad_token_id: int
    ordinary_tokens: int


def from_scratch(
    recipe: Recipe, size: TokenizerSize, model: Architecture, labels: Labels, texts: Iterable[str], run: RunFolder
) -> Beginning:
    """Returns a model with random weights, and a tokenizer trained on `texts`, which stays in the run's folder.

    Raises BuildError for sizes that cannot be.
    """
    if not run.tokenizer.exists():
        descriptions = [label.description for label in labels.intents]
        make_tokenizer([*texts, *descriptions, recipe.prompt.prefix], size, len(labels.names), run)
    encoder = PromptEncoder(run.tokenizer / TOKENIZER, prompt_layout(recipe.prompt))
    check_prefix(encoder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.tokenizer)
    codes = tokenizer.convert_tokens_to_ids([code_token(row) for row in range(len(labels.names))])
    causal = build_causal_model(model, len(tokenizer), recipe.limits.max_input_tokens, tokenizer.pad_token_id)
    return Beginning(causal, run.tokenizer, encoder, codes, tokenizer.pad_token_id, size.vocab_size)


def from_checkpoint(recipe: Recipe, folder: Path, labels: Labels) -> Beginning:
    """Returns the causal model in `folder`, in float32, whose tokenizer has the code tokens. Raises BuildError."""
    checkpoint = read_checkpoint(folder)
    positions = checkpoint.config.get("max_position_embeddings", 0)
    if recipe.limits.max_input_tokens > positions:
        raise BuildError(f"limits.max_input_tokens: {recipe.limits.max_input_tokens}, and {folder} takes {positions}")
    encoder = PromptEncoder(folder / TOKENIZER, prompt_layout(recipe.prompt))
    check_prefix(encoder)
    codes = code_ids(folder / TOKENIZER, [code_token(row) for row in range(len(labels.names))])
    model = transformers.Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ordinary = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab_size(with_added_tokens=False)
    return Beginning(model, folder, encoder, codes, int(checkpoint.config.get("pad_token_id") or 0), ordinary)


def make_tokenizer(texts: Iterable[str], size: TokenizerSize, labels: int, run: RunFolder) -> None:
    """Trains a tokenizer with a code token for each of `labels`, and puts it into the run's folder.

    Raises BuildError if the texts are too few for its size.
    """
    made = train_tokenizer(texts, size.vocab_size, labels)
    beside = run.path / ".tokenizer"
    shutil.rmtree(beside, ignore_errors=True)
    save_tokenizer(made, beside)
    beside.replace(run.tokenizer)


def copy_tokenizer_files(source: Path, folder: Path) -> None:
    """Copies all that belongs to a tokenizer, byte by byte."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def check_prefix(encoder: PromptEncoder) -> None:
    """Raises BuildError if the prefix is too short to be cached on every machine."""
    prefix = len(encoder.prefix_ids)
    if prefix <= CPU_KV_BLOCK:
        raise BuildError(f"prompt.prefix: {prefix} tokens; it must have more than {CPU_KV_BLOCK} to be cached on a CPU")
