"""From random weights to a classifier: base and adapter, merged, and the head cut out."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from rich.console import Console
from safetensors.torch import save_file

from intently_build.adapting.probes import Probes
from intently_build.head_step import head_step
from intently_build.planning.shapes import Shape
from intently_build.prompt import PromptLayout
from intently_build.running import merge, perform
from intently_build.steps.digests import Digests
from intently_build.steps.journal import Journal
from intently_build.steps.perform import partial_folder, put_in_place
from intently_build.steps.step import RECORD
from intently_build.synth.checkpoint import RandomModel, write_checkpoint
from intently_build.synth.describe import Description, label_names, make_bundle
from intently_build.synth.prefix import synthetic_layout
from intently_build.synth.speech import requests
from intently_build.synth.synth import ROOM, write_tokenizer
from intently_build.synth.tensors import planned_tensors
from intently_build.tokenizer import code_token

RANK, ALPHA = 16, 32
SHIFT = 0.02  # standard deviation of the adapter's B, which makes it change weights by about a sixth
CALIBRATION_ROWS = 512


@dataclass(frozen=True, slots=True)
class Models:
    """What is made, and the folders that it lies in.

    Attributes:
        work: The folder above them.
        shape: Sizes of the model.
        labels: Rows of the head.
        prefix_tokens: Tokens that all prompts begin with.
    """

    work: Path
    shape: Shape
    labels: int
    prefix_tokens: int

    @property
    def base(self) -> Path:
        """A causal model; gone once it is merged."""
        return self.work / "base"

    @property
    def adapter(self) -> Path:
        """A LoRA in peft's format."""
        return self.work / "adapter"

    @property
    def merged(self) -> Path:
        """The two as one; gone once its head is cut."""
        return self.work / "merged"

    @property
    def classifier(self) -> Path:
        """A classifier in bfloat16."""
        return self.work / "classifier"

    @property
    def rows(self) -> Path:
        """The rows that a tool looks at."""
        return self.work / "rows.jsonl"

    def quantized(self, form: str) -> Path:
        """The classifier in that format."""
        return self.work / form

    def bundle(self, form: str) -> Path:
        """The same as a server loads it; its weights are links."""
        return self.work / f"bundle-{form}"

    def layout(self, prefix_tokens: int) -> PromptLayout:
        """A prompt whose prefix has so many tokens."""
        return synthetic_layout(self.classifier / "tokenizer.json", prefix_tokens, 0)


def make_base(models: Models) -> dict[str, Any]:
    """Writes the causal model, made on the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = RandomModel(models.shape, (), "bf16", 128, 0, device)
    partial, tokenizer = partial_folder(models.base), models.work / "tokenizer"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_tokenizer(tokenizer, codes=models.labels)
    written = write_checkpoint(model, tokenizer, partial, _console())
    put_in_place(partial, models.base)
    return {"bytes": written, "device": device.type}


def make_adapter(models: Models) -> dict[str, Any]:
    """Writes a LoRA on every Linear layer."""
    linears = [each for each in planned_tensors(models.shape, "lm_head", 1) if each.linear]
    names = sorted({each.name.split(".")[-2] for each in linears})
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules=names)
    config.base_model_name_or_path = str(models.base)
    config.save_pretrained(str(models.adapter))
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for each in linears:
        outputs, inputs = each.size
        module = f"base_model.model.{each.name.removesuffix('.weight')}"
        tensors[f"{module}.lora_A.weight"] = torch.randn(RANK, inputs, generator=generator) * inputs**-0.5
        tensors[f"{module}.lora_B.weight"] = torch.randn(outputs, RANK, generator=generator) * SHIFT
    save_file(tensors, models.adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    return {"rank": RANK, "modules": len(linears), "bytes": sum(tensor.nbytes for tensor in tensors.values())}


def merge_them(models: Models) -> dict[str, Any]:
    """Merges, with the proof of `intently-build merge`, and makes room."""
    merge(models.base, models.adapter, models.merged, replace=True, console=_console())
    shutil.rmtree(models.base)
    return _proof(models.merged)


def cut_head(models: Models) -> dict[str, Any]:
    """Cuts the head out, with the proof of `intently-build run`, and makes room."""
    codes = [code_token(row) for row in range(models.labels)]
    step = head_step(models.merged, models.classifier, label_names(models.labels), codes, Probes())
    perform([lambda: step], Digests(), Journal(_console()))
    shutil.rmtree(models.merged)
    models.rows.write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in requests(7, CALIBRATION_ROWS)), encoding="utf-8"
    )
    return _proof(models.classifier) | {"bytes": _weight_bytes(models.classifier)}


def make_served(models: Models, form: str) -> dict[str, Any]:
    """Makes a bundle of the classifier in that format, its golden vectors computed on the GPU if there is one."""
    source, partial = models.quantized(form), partial_folder(models.bundle(form))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for path in source.iterdir():
        if path.name != RECORD:
            (partial / path.name).hardlink_to(path)
    codes = json.loads((models.classifier / RECORD).read_text())["proof"]["code_token_ids"]
    description = Description(
        name=f"synthetic-{form}",
        labels=label_names(models.labels),
        code_ids=tuple(codes),
        layout=models.layout(models.prefix_tokens),
        max_tokens=models.prefix_tokens + ROOM,
        form=form,
        group_size=128,
        made_by="tests/bench/seven_b.py\n",
        model=f"synthetic: random weights of the shape {models.shape.name}, {models.shape.layers} layers, and a LoRA",
        parameters=models.shape.parameters,
    )
    revision = make_bundle(partial, description, "cuda" if torch.cuda.is_available() else "cpu")
    put_in_place(partial, models.bundle(form))
    total = sum(path.stat().st_size for path in models.bundle(form).iterdir())
    return {"revision": revision, "bytes": total, "weight_bytes": _weight_bytes(models.bundle(form))}


def _proof(folder: Path) -> dict[str, Any]:
    proof: dict[str, Any] = json.loads((folder / RECORD).read_text())["proof"]
    return {key: value for key, value in proof.items() if key != "code_token_ids"}


def _weight_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _console() -> Console:
    return Console(stderr=True)
