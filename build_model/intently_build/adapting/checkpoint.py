"""A causal checkpoint as it lies on disk: its config, and the shapes of its weights, read without loading them."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from intently_build.errors import BuildError
from intently_build.recipe import recipe_name
from intently_build.steps.digests import Digests

TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (
    TOKENIZER,
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class Checkpoint:
    """What can be known of a checkpoint from its config and the heads of its weight files.

    Attributes:
      folder: where it lies.
      config: its config.json.
      shapes: of each tensor, by name.
    """

    folder: Path
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @property
    def tied(self) -> bool:
        """Whether the language-model head is the embedding matrix."""
        return bool(self.config.get("tie_word_embeddings", False))

    @property
    def embedding_rows(self) -> int:
        """How many tokens have an embedding; the tokenizer may have fewer."""
        return self.shapes["model.embed_tokens.weight"][0]

    def weights_digest(self, digests: Digests) -> str:
        """Returns one SHA-256 over the weight files."""
        lines = [f"{digests.file(path)}  {path.name}\n" for path in weight_files(self.folder)]
        return sha256("".join(lines).encode()).hexdigest()


def read_checkpoint(folder: Path) -> Checkpoint:
    """Returns the checkpoint in `folder`, which must be a Qwen2 with unquantized weights. Raises BuildError."""
    config = read_json(folder / "config.json", f"is {folder} a checkpoint in Hugging Face's layout?")
    if config.get("model_type") != "qwen2":
        raise BuildError(f"{folder}: a model of type {config.get('model_type')!r}; only 'qwen2' can be built from")
    if "quantization_config" in config:
        raise BuildError(f"{folder}: is quantized; take the checkpoint that it was quantized from")
    files = weight_files(folder)
    if not files:
        raise BuildError(f"{folder}: no *.safetensors there; a checkpoint without weights")
    shapes = {name: shape for file in files for name, shape in tensor_shapes(file).items()}
    if "model.embed_tokens.weight" not in shapes:
        raise BuildError(f"{folder}: no model.embed_tokens.weight; is it a whole causal model?")
    if not (folder / TOKENIZER).is_file():
        raise BuildError(f"{folder / TOKENIZER}: no such file; a base needs its tokenizer")
    return Checkpoint(folder, config, shapes)


def weight_files(folder: Path) -> list[Path]:
    """Returns the weight files of a checkpoint in the order of their names."""
    return sorted(folder.glob("*.safetensors"))


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each tensor in a safetensors file, by name. Raises BuildError if it is cut short."""
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BuildError(f"{file}: not a whole safetensors file: {error}; copy it anew") from error


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """Returns the JSON object in a file; `hint` is added if there is none. Raises BuildError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: cannot read it: {error}; {hint}") from error
    if not isinstance(content, dict):
        raise BuildError(f"{path}: must be a JSON object; {hint}")
    return content


def forget_version(folder: Path) -> None:
    """Takes out of a checkpoint's configs which version of transformers wrote them.

    Nobody reads it, and with it the same weights would be another revision of a bundle wherever the version is another.
    """
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        if path.is_file():
            said = {key: value for key, value in read_json(path, "").items() if key != "transformers_version"}
            path.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def find_base(recipe: Path, base: str, runs: Path) -> Path:
    """Returns the folder of the causal checkpoint that a recipe calls its base.

    Args:
      recipe: the recipe's file, which `base` is relative to.
      base: a checkpoint, a run, or another recipe.
      runs: the folder that holds the runs, where that of another recipe is looked for.

    Raises BuildError if there is none.
    """
    path = recipe.parent / base
    if path.suffix in (".yaml", ".yml"):
        model = _model_of(runs / recipe_name(path))
        if model is None:
            raise BuildError(f"{recipe}: its base {base} is not built; run `intently-build run {path}` first")
        return model
    if (path / "config.json").exists():
        return path
    model = _model_of(path)
    if model is None:
        raise BuildError(f"{path}: neither a checkpoint (no config.json) nor a complete run; {recipe} names it as base")
    return model


def _model_of(run: Path) -> Path | None:
    """Returns the causal model that a run ended with, if it did."""
    return next((run / name for name in ("merged", "model") if (run / name / "config.json").exists()), None)
