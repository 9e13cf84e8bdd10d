"""A recipe: the YAML file that says how one bundle is made, from data to operating points."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from intently_build.errors import BuildError

PositiveInt = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
NonEmpty = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OutOfScopeData(_Section):
    """Rows that have none of the intents: JSON Lines files beside the others."""

    intent: NonEmpty  # the name that these rows and the label file give to it
    train: NonEmpty
    validation: NonEmpty
    test: NonEmpty
    repeat: PositiveInt = 1  # how often a row stands in one epoch


class Data(_Section):
    """Where the rows, their labels and their licence lie; files are relative to `folder`, that to the recipe."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    folder: NonEmpty
    license: NonEmpty  # SPDX identifier
    attribution: NonEmpty
    notices: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]  # copied into the bundle
    labels: NonEmpty
    description_field: NonEmpty = "description"
    domain_field: str | None = None
    train: NonEmpty
    validation: NonEmpty
    test: NonEmpty
    out_of_scope: OutOfScopeData | None = None


class Turns(_Section):
    """What stands before and after a turn of the context."""

    user_open: NonEmpty
    user_close: NonEmpty
    assistant_open: NonEmpty
    assistant_close: NonEmpty


class PromptText(_Section):
    """The fixed pieces of the prompt, as at `Prompt` in bundle.proto."""

    prefix: NonEmpty
    utterance_open: str
    suffix: NonEmpty
    turns: Turns


class Limits(_Section):
    """What the model takes: tokens of a whole prompt, turns of context."""

    max_input_tokens: PositiveInt = 1024
    max_context_turns: PositiveInt = 16


class TokenizerSize(_Section):
    """The byte-level BPE: how many tokens, special and code tokens not counted."""

    vocab_size: Annotated[int, Field(ge=256)]


class Architecture(_Section):
    """The Qwen2 decoder. vLLM's kernels for CPUs want head sizes of 32 or 64 and sizes in multiples of 64."""

    hidden_size: Annotated[int, Field(gt=0, multiple_of=64)]
    intermediate_size: Annotated[int, Field(gt=0, multiple_of=64)]
    layers: PositiveInt
    heads: PositiveInt
    kv_heads: PositiveInt

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.heads or self.hidden_size // self.heads not in (32, 64):
            raise ValueError("hidden_size / heads must be 32 or 64")
        if self.heads % self.kv_heads:
            raise ValueError("heads must be a multiple of kv_heads")
        return self


class Noise(_Section):
    """What training changes in the rows at random, so that the model does not learn them by heart. Shares, 0 to 1."""

    replace_tokens: Share = 0.0  # of an utterance's tokens, by any other token
    drop_tokens: Share = 0.0
    surface: Share = 0.0  # of the rows, written with a capital letter, a closing mark, or both
    closing_marks: tuple[NonEmpty, ...] = (".",)
    context: Share = 0.0  # of the rows, with one or two turns from other rows before them


class Training(_Section):
    """How the causal model is trained."""

    seed: int = 0
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Share = 0.05  # of the steps
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    dropout: Share = 0.0  # on embeddings and on what each block adds
    label_smoothing: Share = 0.0
    utterance_loss: Annotated[float, Field(ge=0)] = 0.0  # weight of the language-model loss on the utterance
    consistency: Annotated[float, Field(ge=0)] = 0.0  # weight of the disagreement of two passes (R-Drop)
    noise: Noise = Noise()


class Calibration(_Section):
    """How confidence becomes outcome. `default_operating_point` gives the bundle's threshold."""

    operating_points: Annotated[tuple[Literal["keep-99", "keep-95", "balanced"], ...], Field(min_length=1)]
    default_operating_point: Literal["keep-99", "keep-95", "balanced"]
    ambiguity_margin: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _default_is_one_of_them(self) -> Self:
        if self.default_operating_point not in self.operating_points:
            raise ValueError(f"default_operating_point {self.default_operating_point!r} is not in operating_points")
        return self


class Example(_Section):
    """An utterance, with the user's and the assistant's turns before it in turn, for the golden vectors."""

    text: NonEmpty
    context: tuple[NonEmpty, ...] = ()


class Recipe(_Section):
    """All that a bundle is made from."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    languages: Annotated[tuple[NonEmpty, ...], Field(min_length=1)]  # BCP-47
    label_set_version: NonEmpty
    data: Data
    prompt: PromptText
    limits: Limits = Limits()
    tokenizer: TokenizerSize
    model: Architecture
    training: Training
    calibration: Calibration
    golden: Annotated[tuple[Example, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _balance_needs_rows(self) -> Self:
        if "balanced" in self.calibration.operating_points and self.data.out_of_scope is None:
            raise ValueError("calibration.operating_points: 'balanced' needs data.out_of_scope")
        return self

    def training_fingerprint(self) -> str:
        """Returns a SHA-256 over what the training depends on: a run made under another one is another model."""
        parts = self.model_dump_json(include={"data", "prompt", "limits", "tokenizer", "model", "training"})
        return hashlib.sha256(parts.encode()).hexdigest()


def parse_recipe(text: str, source: str) -> Recipe:
    """Returns the recipe that `text` spells; `source` names it in errors.

    Raises BuildError naming each key that is missing, unknown or out of range.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise BuildError(f"{source}: {'; '.join(_problems(error))}") from error


def load_recipe(path: Path) -> tuple[Recipe, str]:
    """Returns the recipe in the file and its text. Raises BuildError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: cannot read the recipe: {error}") from error
    return parse_recipe(text, str(path)), text


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'the recipe'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    ]
