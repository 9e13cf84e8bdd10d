"""Writes tensors to safetensors files as they come, so that never more than one file of them is held."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from intently_build.quantizing.checkpoint import INDEX, WEIGHTS

SHARD_BYTES = 4_000_000_000


class Shards:
    """The weights of one checkpoint.

    Args:
      folder: where to write.
      limit: bytes of a file; a single tensor may be larger.
    """

    def __init__(self, folder: Path, limit: int = SHARD_BYTES) -> None:
        self._folder = folder
        self._limit = limit
        self._held: dict[str, torch.Tensor] = {}
        self._written: list[tuple[Path, list[str]]] = []
        self.bytes = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Takes a tensor, which may be on any device, and writes a file if this one would be too much for it."""
        if self._held and sum(each.nbytes for each in self._held.values()) + tensor.nbytes > self._limit:
            self._write()
        self._held[name] = tensor.cpu().contiguous()
        self.bytes += tensor.nbytes

    def close(self) -> None:
        """Writes what is left, names the files as Hugging Face does, and writes their index if there are several."""
        self._write()
        total = len(self._written)
        places: dict[str, str] = {}
        for number, (path, names) in enumerate(self._written, start=1):
            name = WEIGHTS if total == 1 else f"model-{number:05d}-of-{total:05d}.safetensors"
            path.rename(self._folder / name)
            places |= dict.fromkeys(names, name)
        if total > 1:
            index = {"metadata": {"total_size": self.bytes}, "weight_map": places}
            (self._folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _write(self) -> None:
        path = self._folder / f"part-{len(self._written):05d}"
        save_file(self._held, path, metadata={"format": "pt"})
        path.chmod(0o644)
        self._written.append((path, list(self._held)))
        self._held = {}
