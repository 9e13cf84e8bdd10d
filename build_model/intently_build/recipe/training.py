"""The sections on training: a tokenizer and a model from scratch, and how a model is trained, new or adapted."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from intently_build.recipe.section import NonEmpty, PositiveInt, Section, Share


class TokenizerSize(Section):
    """The byte-level BPE: how many tokens, special and code tokens not counted."""

    vocab_size: Annotated[int, Field(ge=256)]


class Architecture(Section):
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


class Noise(Section):
    """What training changes in the rows at random, so that the model does not learn them by heart. Shares, 0 to 1."""

    replace_tokens: Share = 0.0  # of an utterance's tokens, by any other token
    drop_tokens: Share = 0.0
    surface: Share = 0.0  # of the rows, written with a capital letter, a closing mark, or both
    closing_marks: tuple[NonEmpty, ...] = (".",)
    context: Share = 0.0  # of the rows, with one or two turns from other rows before them


class Schedule(Section):
    """How long a model is trained, how fast, and what keeps it from learning its rows by heart."""

    seed: int = 0
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    warmup: Share = 0.05  # of the steps
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    dropout: Share = 0.0  # on embeddings and on what each block adds


class Training(Schedule):
    """How a model is trained to tell intents."""

    label_smoothing: Share = 0.0
    utterance_loss: Annotated[float, Field(ge=0)] = 0.0  # weight of the language-model loss on the utterance
    consistency: Annotated[float, Field(ge=0)] = 0.0  # weight of the disagreement of two passes (R-Drop)
    noise: Noise = Noise()
