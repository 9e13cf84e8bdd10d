"""The sections on models of others: a base to adapt, an adapter trained elsewhere, a checkpoint taken as it is."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from intently_build.recipe.section import NonEmpty, PositiveInt, Section, Share

Head = Literal["code-tokens", "trained"]
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lora(Section):
    """peft's LoRA, in its own words."""

    r: PositiveInt = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Share = 0.0
    target_modules: Annotated[tuple[NonEmpty, ...], Field(min_length=1)] = LINEAR
    modules_to_save: tuple[NonEmpty, ...] = ()  # trained whole beside it; a trained head is always among them
    train_code_tokens: bool = True  # the rows of the code tokens, and of no others, in the embeddings or the head
    quantized_base: bool = False  # QLoRA: the base in 4 bits (nf4) while training; needs bitsandbytes


class Adapt(Section):
    """A base, and the LoRA that is trained on it.

    `base` is relative to the recipe: a folder with a causal checkpoint, the folder of a run, or another recipe, whose
    run is then looked for beside this one's.
    """

    base: NonEmpty
    head: Head = "code-tokens"
    new_tokens: tuple[NonEmpty, ...] = ()  # tokens of the prompt that the base has not
    lora: Lora = Lora()

    @model_validator(mode="after")
    def _head_has_one_way_to_learn(self) -> Self:
        if self.head == "trained" and self.new_tokens:
            raise ValueError("new_tokens: they are learnt with the code tokens only; take head: code-tokens")
        return self


class Adapter(Section):
    """A base, and an adapter in peft's format that was trained elsewhere. Both are relative to the recipe."""

    base: NonEmpty
    folder: NonEmpty
    head: Head = "code-tokens"
    other_name: bool = False  # the adapter may name its base otherwise than the folder is called, in the last part
    code_tokens: tuple[NonEmpty, ...] = ()  # the token of each label, out of scope last; if not <|code_000|> and so on


class Published(Section):
    """A causal checkpoint that is taken as it was published, quantized or not: the prompt alone says what is wanted.

    `checkpoint` is relative to the recipe. `code_tokens` are tokens that it has, such as letters which the prompt gives
    to the labels: one for each label, out of scope last.
    """

    checkpoint: NonEmpty
    code_tokens: Annotated[tuple[NonEmpty, ...], Field(min_length=2)]
