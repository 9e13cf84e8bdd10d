"""The tokenizer as GGUF states it: tokens by id, what kind each is, and the merges of its byte-level BPE.

llama.cpp splits text by a pattern that it knows by name, so only a tokenizer with Qwen2's pattern can be exported.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from intently_build.errors import BuildError

Kind = Literal["NORMAL", "CONTROL", "USER_DEFINED", "UNUSED"]  # gguf's names

# transformers' and llama.cpp's, which spells the first group out.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and kinds by id, merges in order, and the token that ends a text."""

    tokens: tuple[str, ...]
    kinds: tuple[Kind, ...]
    merges: tuple[str, ...]
    end: int


def read_vocabulary(folder: Path, config: Mapping[str, Any], shown: Collection[int]) -> Vocabulary:
    """Returns the vocabulary of the checkpoint in `folder`, filled up to as many tokens as it has embeddings.

    Args:
      folder: with a tokenizer.json.
      config: the checkpoint's.
      shown: ids of tokens that are answers: llama.cpp prints no control tokens.

    Raises BuildError if llama.cpp would read other tokens.
    """
    path = folder / "tokenizer.json"
    content = _read(path)
    model = content.get("model", {})
    _check_splitting(path, content, model)
    added = {token["id"]: token for token in content.get("added_tokens", [])}
    by_id: dict[int, str] = {token_id: token for token, token_id in model["vocab"].items()}
    by_id |= {token_id: token["content"] for token_id, token in added.items()}
    rows = int(config["vocab_size"])
    if max(by_id) >= rows:
        raise BuildError(f"{path}: tokens up to {max(by_id)}, and the model has rows for {rows}")
    tokens = tuple(by_id.get(token_id, f"[PAD{token_id}]") for token_id in range(rows))
    kinds = tuple(_kind(token_id in by_id, added.get(token_id), token_id in shown) for token_id in range(rows))
    merges = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    return Vocabulary(tokens, kinds, merges, _end(folder, config, {token: i for i, token in by_id.items()}))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: cannot read it: {error}; a checkpoint carries its tokenizer") from error
    return content if isinstance(content, dict) else {}


def _check_splitting(path: Path, content: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Raises BuildError unless the tokenizer is a byte-level BPE that splits text as Qwen2's does."""
    if model.get("type") != "BPE" or model.get("ignore_merges") or model.get("byte_fallback"):
        raise BuildError(f"{path}: no plain byte-level BPE; llama.cpp would read other tokens")
    splitter = content.get("pre_tokenizer") or {}
    parts = splitter.get("pretokenizers", [splitter])
    patterns = [part["pattern"].get("Regex") for part in parts if part.get("type") == "Split"]
    levels = [part for part in parts if part.get("type") == "ByteLevel"]
    plain = len(levels) == 1 and not levels[0].get("add_prefix_space") and not levels[0].get("use_regex")
    if patterns != [QWEN2_PATTERN] or not plain:
        raise BuildError(
            f"{path}: splits text in another way than Qwen2's tokenizer; llama.cpp would read other tokens"
        )


def _kind(known: bool, added: Mapping[str, Any] | None, shown: bool) -> Kind:
    if not known:
        return "UNUSED"
    if added is None:
        return "NORMAL"
    return "CONTROL" if added.get("special") and not shown else "USER_DEFINED"


def _end(folder: Path, config: Mapping[str, Any], ids: Mapping[str, int]) -> int:
    """Returns the token that ends a text. Without one llama.cpp would take a token of GPT-2's vocabulary for it."""
    stated = config.get("eos_token_id")
    if isinstance(stated, list):
        stated = stated[0] if stated else None
    if isinstance(stated, int):
        return stated
    path = folder / "tokenizer_config.json"
    named = _read(path).get("eos_token") if path.is_file() else None
    token = named.get("content") if isinstance(named, dict) else named
    if token not in ids:
        raise BuildError(f"{folder}: neither config.json nor tokenizer_config.json names the token that ends a text")
    return ids[str(token)]
