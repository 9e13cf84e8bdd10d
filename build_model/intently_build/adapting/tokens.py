"""Tokens that a base lacks: code tokens of the labels, and tokens of the prompt, added to its tokenizer and weights."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer

from intently_build.adapting.checkpoint import TOKENIZER, TOKENIZER_FILES, read_checkpoint, read_json
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step
from intently_build.trainer import quiet

TOOLS = ("torch", "transformers", "tokenizers")


def missing_tokens(tokenizer: Path, tokens: Sequence[str]) -> tuple[str, ...]:
    """Returns those of `tokens` that are no token of their own in that tokenizer.json."""
    known = Tokenizer.from_file(str(tokenizer))
    return tuple(token for token in tokens if known.token_to_id(token) is None)


def extend_step(base: Path, folder: Path, tokens: Sequence[str]) -> Step:
    """Returns the step that writes `base` with `tokens` added. What it knew before has the same ids and weights."""

    def make(partial: Path, journal: Journal) -> Proof:
        journal.say(f"  {len(tokens)} tokens are added to {base}")
        quiet()
        checkpoint = read_checkpoint(base)
        for name in TOKENIZER_FILES:
            if (base / name).is_file():
                shutil.copyfile(base / name, partial / name)
        last = _add_tokens(partial / TOKENIZER, tokens)
        _name_tokens(partial / "tokenizer_config.json", tokens)
        rows = max(checkpoint.embedding_rows, last + 1)
        _extend_weights(base, partial, checkpoint.embedding_rows, rows)
        return {"tokens": len(tokens), "rows_before": checkpoint.embedding_rows, "rows": rows}

    return Step("base", folder, {"base": base}, {"tokens": list(tokens)}, make, TOOLS)


def _add_tokens(path: Path, tokens: Sequence[str]) -> int:
    """Adds special tokens at the end of a tokenizer.json. Returns the last id."""
    content = read_json(path, "copy it anew")
    ids = [*content["model"]["vocab"].values(), *(token["id"] for token in content["added_tokens"])]
    first = max(ids) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content["added_tokens"] += [
        {"id": first + place, "content": token, **flags, "special": True} for place, token in enumerate(tokens)
    ]
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return int(first + len(tokens) - 1)


def _name_tokens(path: Path, tokens: Sequence[str]) -> None:
    """Tells transformers, which reads more than tokenizer.json, that they are special."""
    if not path.is_file():
        return
    content = read_json(path, "copy it anew")
    key = "extra_special_tokens" if "extra_special_tokens" in content else "additional_special_tokens"
    content[key] = [*(content.get(key) or []), *tokens]
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _extend_weights(base: Path, folder: Path, before: int, rows: int) -> None:
    model: Any = transformers.Qwen2ForCausalLM.from_pretrained(base, dtype="auto")
    if rows > before:
        model.resize_token_embeddings(rows, mean_resizing=False)
        matrices = {id(layer.weight): layer.weight for layer in (model.get_input_embeddings(), model.lm_head)}
        for weight in matrices.values():
            _fill(weight.data, before)
    model.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)


def _fill(weight: torch.Tensor, before: int) -> None:
    """Gives new rows the mean of the old ones, and a little noise, the same each time, to tell them apart."""
    known = weight[:before].float()
    noise = torch.randn(len(weight) - before, weight.shape[1], generator=torch.Generator().manual_seed(0))
    weight[before:] = (known.mean(dim=0) + 0.1 * known.std() * noise).to(weight.dtype)
