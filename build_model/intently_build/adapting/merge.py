"""`intently-build merge`: a base and an adapter become one checkpoint, in bfloat16, and are shown to be the same."""

import gc
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open

from intently_build.adapting.adapter import PREFIX, WEIGHTS, AdapterFiles, read_adapter
from intently_build.adapting.checkpoint import (
    TOKENIZER,
    TOKENIZER_FILES,
    Checkpoint,
    forget_version,
    read_checkpoint,
    tensor_shapes,
    weight_files,
)
from intently_build.adapting.comparison import compare, last_logits, proving_device
from intently_build.adapting.load_peft import load_peft
from intently_build.adapting.matching import check_match
from intently_build.adapting.probes import Probes
from intently_build.errors import BuildError
from intently_build.steps.digests import Digests
from intently_build.steps.journal import Journal
from intently_build.steps.step import Proof, Step

TOOLS = ("torch", "transformers", "peft", "safetensors")
VERSION = 2  # 2: the configs do not name the version of transformers, and their keys are sorted
# Of the longest row of the base's own tensor. Adapters change weights by a part of their size; one that makes a row a
# hundred times as long as any that the base has leaves nothing of the base, which a damaged number does.
LARGEST_CHANGE = 100.0
LEFT_BY_LORA = ("lora_", "base_layer", "modules_to_save", "token_adapter", "original_module")


@dataclass(frozen=True)
class Pair:
    """What is merged.

    Attributes:
      base: folder of the causal checkpoint.
      adapter: folder of the adapter.
      other_name: whether the adapter may name its base otherwise than the folder is called.
    """

    base: Path
    adapter: Path
    other_name: bool = False


def merge_step(pair: Pair, folder: Path, probes: Probes, digests: Digests) -> Step:
    """Returns the step that merges the adapter into its base, and proves it on `probes`."""

    def make(partial: Path, journal: Journal) -> Proof:
        return merge(pair, partial, probes, digests, journal)

    inputs = {"base": pair.base, "adapter": pair.adapter}
    stated = {"dtype": "bfloat16"} | ({"other_name": True} if pair.other_name else {})
    return Step("merge", folder, inputs, stated, make, TOOLS, version=VERSION)


def merge(pair: Pair, folder: Path, probes: Probes, digests: Digests, journal: Journal) -> Proof:
    """Writes the merged checkpoint into `folder`. Returns what was proved.

    Raises BuildError if base and adapter are damaged or do not belong together, or if the result answers otherwise.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    base = pair.base
    files = read_adapter(pair.adapter)
    checkpoint = read_checkpoint(base)
    matched = check_match(files, checkpoint, digests, pair.other_name)
    journal.say(f"  {matched['modules']} adapted modules; base {matched['base_digest']}")
    if pair.other_name:
        named = matched["base_named"]
        journal.say(f"  warning: the adapter names its base {named}; nothing but shapes shows that {base} is that")
    prompts = probes.ids(base / TOKENIZER, checkpoint.embedding_rows)
    wanted = last_logits(_adapted(files, checkpoint, torch.float32).to(proving_device()), prompts)
    _release()
    parameters = _write_merged(files, checkpoint, folder)
    _release()
    _copy_tokenizer(base, folder)
    _check_tensors(files, checkpoint, folder)
    agreement = compare(wanted, last_logits(_plain(files, folder, torch.float32).to(proving_device()), prompts))
    _release()
    return {
        "matched": matched,
        "agreement": agreement.to_json(),
        "finite": True,
        "parameters": parameters,
        "base_sha256": checkpoint.weights_digest(digests),
        "adapter_sha256": digests.file(pair.adapter / WEIGHTS),
    }


def _plain(files: AdapterFiles, folder: Path, dtype: torch.dtype) -> Any:
    if files.classifies:
        kind, more = transformers.Qwen2ForSequenceClassification, {"num_labels": files.labels}
    else:
        kind, more = transformers.Qwen2ForCausalLM, {}
    return kind.from_pretrained(folder, dtype=dtype, **more).eval()


def _adapted(files: AdapterFiles, base: Checkpoint, dtype: torch.dtype) -> Any:
    """Returns the base with the adapter beside it, every tensor of the adapter in use."""
    peft = load_peft()
    try:
        model = peft.PeftModel.from_pretrained(_plain(files, base.folder, dtype), files.folder).eval()
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise BuildError(f"{files.folder}: peft cannot load it: {' '.join(str(error).split())[:300]}") from error
    state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)  # it would look for the base on the Hub
    loaded = {name.removeprefix(PREFIX) for name in state}
    if loaded != set(files.shapes):
        odd = min(loaded ^ set(files.shapes))
        where = "holds no" if odd in loaded else "holds an unknown"
        raise BuildError(f"{files.folder}: {where} {odd}; weights and adapter_config.json do not belong together")
    return model


def _write_merged(files: AdapterFiles, base: Checkpoint, folder: Path) -> int:
    """Merges in bfloat16, on the CPU so that every machine writes the same bytes. Returns the number of parameters."""
    model = _adapted(files, base, torch.bfloat16)
    try:
        merged = model.merge_and_unload(safe_merge=True)
    except (ValueError, RuntimeError) as error:
        raise BuildError(f"{files.folder}: cannot be merged: {' '.join(str(error).split())[:300]}") from error
    merged.to(torch.bfloat16).save_pretrained(folder)
    forget_version(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    return sum(parameter.numel() for parameter in merged.parameters())


def _copy_tokenizer(base: Path, folder: Path) -> None:
    """Copies the tokenizer's files byte by byte: transformers would not write them as they were."""
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _check_tensors(files: AdapterFiles, base: Checkpoint, folder: Path) -> None:
    names: set[str] = set()
    before = {name: path for path in weight_files(base.folder) for name in tensor_shapes(path)}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # not a dict
                names.add(name)
                tensor = opened.get_tensor(name)
                if not torch.isfinite(tensor).all():
                    raise BuildError(f"merge: {name} is not finite in bfloat16; base or adapter is damaged")
                if name in before:
                    _check_change(files, name, _tensor(before[name], name), tensor)
    left = [name for name in names if any(mark in name for mark in LEFT_BY_LORA)]
    missing = {name for name in base.shapes if name.startswith("model.")} - names
    if left or missing:
        raise BuildError(f"{files.folder}: merging left {left[0]}" if left else f"merging lost {missing.pop()}")


def _check_change(files: AdapterFiles, name: str, before: torch.Tensor, after: torch.Tensor) -> None:
    """Raises BuildError if the adapter changed a tensor out of all proportion."""
    longest = _longest_row(before.float())
    change = _longest_row(after.float() - before.float())
    if longest and not change <= LARGEST_CHANGE * longest:
        raise BuildError(
            f"{files.folder}: changes a row of {name} by {change / longest:.3g} times the longest that the base has "
            f"there, and no adapter that was trained does so by {LARGEST_CHANGE:.0f}; it is damaged, copy it anew"
        )


def _longest_row(tensor: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dim=-1).max())


def _tensor(file: Path, name: str) -> torch.Tensor:
    with safe_open(file, framework="pt") as opened:
        return torch.as_tensor(opened.get_tensor(name))


def _release() -> None:
    """Gives a large model's memory back before the next is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
