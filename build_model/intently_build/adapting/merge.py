"""`intently-build merge`: a base and an adapter become one checkpoint, in bfloat16, and are shown to be the same."""

import gc
import shutil
from pathlib import Path, PurePath
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
LEFT_BY_LORA = ("lora_", "base_layer", "modules_to_save", "token_adapter", "original_module")


def merge_step(base: Path, adapter: Path, folder: Path, probes: Probes, digests: Digests) -> Step:
    """Returns the step that merges `adapter` into the causal checkpoint `base`, and proves it on `probes`."""

    def make(partial: Path, journal: Journal) -> Proof:
        return merge(base, adapter, partial, probes, digests, journal)

    inputs = {"base": base, "adapter": adapter}
    return Step("merge", folder, inputs, {"dtype": "bfloat16"}, make, TOOLS)


def merge(base: Path, adapter: Path, folder: Path, probes: Probes, digests: Digests, journal: Journal) -> Proof:
    """Writes the merged checkpoint into `folder`. Returns what was proved.

    Raises BuildError if base and adapter are damaged or do not belong together, or if the result answers otherwise.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    files = read_adapter(adapter)
    checkpoint = read_checkpoint(base)
    matched = check_match(files, checkpoint, digests)
    journal.say(f"  {matched['modules']} adapted modules; base {matched['base_digest']}")
    _say_other_name(matched, base, journal)
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
        "adapter_sha256": digests.file(adapter / WEIGHTS),
    }


def _say_other_name(matched: Proof, base: Path, journal: Journal) -> None:
    """A base of the same shapes can be told from the right one by its name alone where no digest is stated."""
    named = matched["base_named"]
    if named and matched["base_digest"] != "equal" and PurePath(named).name != base.resolve().name:
        journal.say(f"  warning: the adapter names its base {named}; nothing but shapes shows that {base} is that")


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
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # not a dict
                names.add(name)
                if not torch.isfinite(opened.get_tensor(name)).all():
                    raise BuildError(f"merge: {name} is not finite in bfloat16; base or adapter is damaged")
    left = [name for name in names if any(mark in name for mark in LEFT_BY_LORA)]
    missing = {name for name in base.shapes if name.startswith("model.")} - names
    if left or missing:
        raise BuildError(f"{files.folder}: merging left {left[0]}" if left else f"merging lost {missing.pop()}")


def _release() -> None:
    """Gives a large model's memory back before the next is loaded."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
