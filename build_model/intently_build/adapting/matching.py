"""Whether an adapter belongs to a base: by digest or else by name, and by every shape and token."""

import json
import re
from pathlib import Path
from typing import Any

from intently_build.adapting.adapter import AdapterFiles
from intently_build.adapting.base_name import names_base
from intently_build.adapting.checkpoint import TOKENIZER, Checkpoint, read_json
from intently_build.errors import BuildError
from intently_build.steps.digests import Digests

LAYERS = "model.layers."
EQUAL = "equal"
BASE = "base.json"  # beside an adapter of ours: what it was trained on
_PAIR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_CHOSEN_LAYERS = ("layers_to_transform", "layers_pattern", "exclude_modules", "target_parameters")

Shape = tuple[int, ...]


def base_identity(base: Checkpoint, digests: Digests) -> dict[str, str]:
    """Returns what `base.json` says: digests of the weights and of the tokenizer."""
    return {"weights": base.weights_digest(digests), "tokenizer": digests.file(base.folder / TOKENIZER)}


def check_match(adapter: AdapterFiles, base: Checkpoint, digests: Digests, other_name: bool) -> dict[str, Any]:
    """Checks that `adapter` was trained on `base`, as far as its files tell; by name unless `other_name` is true.

    Returns what was compared, for a proof. Raises BuildError naming the first thing that does not fit.
    """
    pairs = _pairs(adapter)
    _check_pairs(adapter, pairs, base)
    _check_complete(adapter, set(pairs), base)
    _check_whole_tensors(adapter, base)
    digest = _check_digest(adapter, base, digests)
    tokenizer = _check_tokenizer(adapter, base)
    named = str(adapter.config.get("base_model_name_or_path") or "")
    if digest != EQUAL and not other_name and not names_base(adapter, base):
        raise BuildError(
            f"{adapter.folder}: names its base {named}, and {base.folder} is another by its name; take that base, or, "
            "if it is the same under another name, say so: merge --other-name, or adapter.other_name: true"
        )
    return {"modules": len(pairs), "base_named": named, "base_digest": digest, "tokenizer": tokenizer}


def _pairs(adapter: AdapterFiles) -> dict[str, dict[str, Shape]]:
    pairs: dict[str, dict[str, Shape]] = {}
    for name, shape in adapter.shapes.items():
        if found := _PAIR.fullmatch(name):
            pairs.setdefault(found["module"], {})[found["side"]] = shape
    if not pairs:
        raise BuildError(f"{adapter.folder}: holds no lora_A and lora_B; it is no LoRA adapter, or an empty one")
    return pairs


def _check_pairs(adapter: AdapterFiles, pairs: dict[str, dict[str, Shape]], base: Checkpoint) -> None:
    ranks = adapter.config.get("rank_pattern") or {}
    for module, sides in pairs.items():
        if set(sides) != {"A", "B"}:
            raise BuildError(
                f"{adapter.folder}: {module} has lora_{sides.popitem()[0]} alone; the adapter is not whole"
            )
        weight = base.shapes.get(f"{module}.weight")
        if weight is None:
            raise BuildError(f"{adapter.folder}: made for another base: {base.folder} has no {module}")
        (rank, inputs), (outputs, other) = sides["A"], sides["B"]
        if rank != other or (not ranks and rank != adapter.config.get("r")):
            raise BuildError(
                f"{adapter.folder}: {module} has rank {rank} and {other}, but r is {adapter.config.get('r')}; "
                "weights and adapter_config.json do not belong together"
            )
        if (outputs, inputs) != weight:
            raise BuildError(
                f"{adapter.folder}: made for another base: {module} is {outputs} x {inputs} in it, "
                f"and {' x '.join(map(str, weight))} in {base.folder}"
            )


def _check_complete(adapter: AdapterFiles, adapted: set[str], base: Checkpoint) -> None:
    """Checks that no layer of the base was left out, which one with more layers than the adapter's base would be."""
    if any(adapter.config.get(key) for key in _CHOSEN_LAYERS):
        return
    layers = [name for name, shape in base.shapes.items() if name.startswith(LAYERS) and len(shape) == 2]
    modules = [name.removesuffix(".weight") for name in layers]
    targets = adapter.config.get("target_modules") or []
    missing = [module for module in modules if _is_target(module, targets) and module not in adapted]
    if missing:
        raise BuildError(f"{adapter.folder}: made for another base: it has nothing for {missing[0]} of {base.folder}")


def _is_target(module: str, targets: str | list[str]) -> bool:
    if isinstance(targets, str):
        return bool(re.fullmatch(targets, module))
    return any(module == target or module.endswith(f".{target}") for target in targets)


def _check_whole_tensors(adapter: AdapterFiles, base: Checkpoint) -> None:
    """Checks tensors that replace the base's own, such as a language-model head that was trained whole."""
    for name, shape in adapter.shapes.items():
        own = base.shapes.get(name)
        if own is not None and own != shape:
            raise BuildError(
                f"{adapter.folder}: made for another base: {name} is {shape} in it, {own} in {base.folder}"
            )


def _check_digest(adapter: AdapterFiles, base: Checkpoint, digests: Digests) -> str:
    if not (adapter.folder / BASE).is_file():
        return "not stated by the adapter"
    stated = read_json(adapter.folder / BASE, "remove it if the adapter was not trained by intently-build")
    for key, found in base_identity(base, digests).items():
        if stated.get(key) != found:
            raise BuildError(
                f"{adapter.folder}: made for another base: the {key} of {base.folder} have the SHA-256 {found[:12]}, "
                f"and it was trained on {str(stated.get(key))[:12]}"
            )
    return EQUAL


def _check_tokenizer(adapter: AdapterFiles, base: Checkpoint) -> str:
    theirs = adapter.folder / TOKENIZER
    if not theirs.is_file():
        return "not carried by the adapter"
    if _tokens(theirs) != _tokens(base.folder / TOKENIZER):
        raise BuildError(f"{theirs}: another tokenizer than {base.folder / TOKENIZER}; the adapter is of another base")
    return EQUAL


def _tokens(path: Path) -> tuple[dict[str, int], list[str], dict[str, int]]:
    """Returns vocabulary, merges and added tokens: all that decides ids but for the splitting of words."""
    content = read_json(path, "copy it anew")
    try:
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
        added = {token["content"]: token["id"] for token in content["added_tokens"]}
        return content["model"]["vocab"], merges, added
    except (KeyError, TypeError) as error:
        raise BuildError(f"{path}: not a byte-pair tokenizer: {json.dumps(str(error))} is missing") from error
