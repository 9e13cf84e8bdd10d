"""A quantizing tool for tests: rounds to int8 by rows, and writes what llmcompressor would. In a process of its own.

    python rounding_tool.py JOB LEVELS

It refuses every other format, as a tool that fails does. Without PyTorch, so that it starts at once.
"""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LEVELS = 127

Tensors = dict[str, tuple[str, NDArray[np.generic]]]  # safetensors' type and the values; BF16 as uint16


def tool_environment(folder: Path, levels: int = LEVELS) -> Path:
    """Makes a build environment that has this in place of llmcompressor. Returns `folder`, for INTENTLY_BUILD_ENV.

    With `levels` 0 its result has no weights but 0, so that it answers everything alike.
    """
    package = folder / "lib" / "python3.11" / "site-packages" / "llmcompressor"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$3" {levels}\n')
    python.chmod(0o755)
    return folder


def main(path: Path, levels: int) -> None:
    """Runs the job in the file."""
    job = json.loads(path.read_text())
    if job["form"] != "int8":
        sys.exit(f"this tool cannot write {job['form']}")
    source, output = Path(job["checkpoint"]), Path(job["output"])
    tensors: Tensors = {}
    for name, (kind, values) in _load(source / "model.safetensors").items():
        if ".layers." in name and values.ndim == 2:
            tensors |= _rounded(name, values, levels)
        else:
            tensors[name] = (kind, values)
    output.mkdir()
    _save(tensors, output / "model.safetensors")
    weights = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}
    groups = {"group_0": {"weights": weights, "input_activations": {"num_bits": 8}}}
    said = {"quant_method": "compressed-tensors", "config_groups": groups}
    (output / "config.json").write_text(json.dumps({"quantization_config": said}))
    (Path(job["scratch"]) / "tools.json").write_text(json.dumps({"llmcompressor": "0"}))


def _rounded(name: str, values: NDArray[np.generic], levels: int) -> Tensors:
    weight = (values.astype(np.uint32) << 16).view(np.float32)
    stored = ((np.abs(weight).max(1, keepdims=True) / LEVELS).view(np.uint32) >> 16).astype(np.uint16)
    scale = (stored.astype(np.uint32) << 16).view(np.float32)
    rounded = np.clip(np.rint(weight / scale), -levels, levels).astype(np.int8)
    return {name: ("I8", rounded), f"{name.removesuffix('.weight')}.weight_scale": ("BF16", stored)}


def _load(path: Path) -> Tensors:
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    return {
        name: (
            said["dtype"],
            np.frombuffer(content[begin:][slice(*said["data_offsets"])], np.uint16).reshape(said["shape"]),
        )
        for name, said in header.items()
    }


def _save(tensors: Tensors, path: Path) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, (kind, values) in tensors.items():
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": [begin, begin + values.nbytes]}
        begin += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(each.tobytes() for _, each in tensors.values()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
