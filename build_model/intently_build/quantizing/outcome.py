"""The folder that comes out: the source's config and tokenizer, the tool's weights, and what they were made from."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from intently_build.quantizing.checkpoint import INDEX, TOKENIZER_FILES, Checkpoint
from intently_build.quantizing.formats import DTYPE

RECORD = "quantization.json"

_MODE = 0o644
_KEPT_OF_META = ("quantizer",)  # gptqmodel also notes its scratch folders there


@dataclass(frozen=True)
class Identity:
    """What the weights depend on: the same identity and the same tools give the same bytes on the same machine."""

    form: str
    group_size: int
    seed: int
    samples: int
    calibration_sha256: str
    source_sha256: str


def source_sha256(source: Checkpoint) -> str:
    """Returns a SHA-256 over config, tokenizer and weights."""
    names = {path.name for path in source.folder.glob("*.safetensors*")} | {"config.json", *TOKENIZER_FILES}
    digest = hashlib.sha256()
    for path in sorted(source.folder / name for name in names):
        if path.exists():
            with path.open("rb") as file:
                digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def prompts_sha256(prompts: tuple[tuple[int, ...], ...]) -> str:
    """Returns a SHA-256 over the token ids of all calibration prompts."""
    return hashlib.sha256(json.dumps(prompts).encode()).hexdigest()


def made_from(folder: Path) -> Identity | None:
    """Returns what the checkpoint in `folder` was quantized from, or None if it does not say."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Identity(**{key: content[key] for key in Identity.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def assemble(raw: Path, source: Checkpoint, identity: Identity, tools: dict[str, str], folder: Path) -> None:
    """Moves the weights in `raw` to `folder` and lays everything else beside them.

    The config is the source's but for what the tool says of its quantization, the tokenizer is copied: tools write both
    anew, with other types, other pre-tokenizers, and paths of their own.
    """
    folder.mkdir()
    for path in sorted([*raw.glob("*.safetensors"), *raw.glob(INDEX)]):
        path.rename(folder / path.name)
    for name in TOKENIZER_FILES:
        if (source.folder / name).exists():
            shutil.copyfile(source.folder / name, folder / name)
    said = _cleaned(json.loads((raw / "config.json").read_text(encoding="utf-8"))["quantization_config"])
    config = {key: value for key, value in source.config.items() if key != "torch_dtype"}
    _write_json(folder / "config.json", config | {"dtype": DTYPE, "quantization_config": said})
    if said["quant_method"] == "gptq":  # where AutoGPTQ's own loader looks
        _write_json(folder / "quantize_config.json", said)
    _write_json(folder / RECORD, asdict(identity) | {"tools": tools})
    for path in folder.iterdir():
        path.chmod(_MODE)


def _cleaned(said: dict[str, Any]) -> dict[str, Any]:
    meta = said.get("meta")
    if not isinstance(meta, dict):
        return said
    return said | {"meta": {key: meta[key] for key in _KEPT_OF_META if key in meta}}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
