"""An adapter on disk, in peft's format: read without trusting it, whoever wrote it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from intently_build.adapting.checkpoint import read_json, tensor_shapes
from intently_build.errors import BuildError
from intently_build.rows import file_sha256
from intently_build.steps.step import RECORD, read_record

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
SCORE = "score.weight"


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter whose files are whole and whose numbers are finite.

    Attributes:
      folder: where it lies.
      config: its adapter_config.json.
      shapes: of each tensor, by its name in the base.
    """

    folder: Path
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @property
    def classifies(self) -> bool:
        """Whether it was trained with a classification head, which it carries."""
        return self.config.get("task_type") == "SEQ_CLS"

    @property
    def labels(self) -> int | None:
        """Rows of the classification head that it carries."""
        return self.shapes[SCORE][0] if SCORE in self.shapes else None


def read_adapter(folder: Path) -> AdapterFiles:
    """Returns the adapter in `folder`. Raises BuildError naming the file, and the tensor, that is not as it must be."""
    config = read_json(folder / CONFIG, f"is {folder} an adapter in peft's format?")
    if config.get("peft_type") != "LORA":
        raise BuildError(f"{folder / CONFIG}: peft_type {config.get('peft_type')!r}; only LORA can be merged")
    weights = folder / WEIGHTS
    if not weights.is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        why = "adapter_model.bin is a pickle, which may run code: save it as safetensors" if pickled else "no such file"
        raise BuildError(f"{weights}: {why}")
    _check_unchanged(folder)
    shapes = tensor_shapes(weights)
    foreign = [name for name in shapes if not name.startswith(PREFIX)]
    if foreign:
        raise BuildError(f"{weights}: {foreign[0]} does not begin with {PREFIX!r}; peft did not write it")
    _check_finite(weights)
    files = AdapterFiles(folder, config, {name.removeprefix(PREFIX): shape for name, shape in shapes.items()})
    if files.classifies and files.labels is None:
        raise BuildError(f"{weights}: task_type is SEQ_CLS, but {SCORE} is missing; it must be in modules_to_save")
    return files


def _check_unchanged(folder: Path) -> None:
    """Holds an adapter that was trained here to the digests in its record; one flipped byte may well stay finite."""
    record = read_record(folder / RECORD)
    for name, digest in (record.outputs if record else {}).items():
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise BuildError(f"{folder / name}: cannot read it: {error.strerror}; copy the adapter anew") from error
        if found != digest:
            raise BuildError(
                f"{folder / name}: its SHA-256 is {found[:12]}, and {digest[:12]} was written; the adapter is damaged, "
                "copy it anew"
            )


def _check_finite(weights: Path) -> None:
    try:
        with safe_open(weights, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # not a dict
                tensor = opened.get_tensor(name)
                if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
                    raise BuildError(f"{weights}: {name} holds values that are not finite; the adapter is damaged")
    except (OSError, SafetensorError) as error:
        raise BuildError(f"{weights}: not a whole safetensors file: {error}; copy it anew") from error
