"""What the server knows of the model that it serves: the manifest's meaning as frozen values."""

from dataclasses import dataclass

from intently_server.types import Turn


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """The fixed pieces of a prompt. Their order stands at `Prompt` in bundle.proto."""

    prefix: str
    utterance_open: str
    suffix: str
    user_open: str = ""
    user_close: str = ""
    assistant_open: str = ""
    assistant_close: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become confidence and outcome.

    Attributes:
        temperature: Divides the logits before the softmax; over 0.
        out_of_scope_threshold: At or above it the out-of-scope confidence means out of scope.
        ambiguity_margin: Best two confidences closer than this are ambiguous.
    """

    temperature: float
    out_of_scope_threshold: float
    ambiguity_margin: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What the model takes: tokens of a whole prompt, turns of context, characters of a text (None: any number)."""

    max_input_tokens: int
    max_context_turns: int
    max_text_chars: int | None


@dataclass(frozen=True, slots=True)
class GoldenVector:
    """An example with its right token ids and its calibrated probabilities, one for each row of the head."""

    text: str
    context: tuple[Turn, ...]
    token_ids: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that a bundle holds.

    Attributes:
        intents: Names in the order of the head's rows. The row after the last, if the head has one more, is the
            out-of-scope label's.
        labels: Rows of the head.
    """

    name: str
    revision: str
    label_set_version: str
    intents: tuple[str, ...]
    labels: int
    prompt: PromptLayout
    calibration: Calibration
    limits: Limits
    golden_vectors: tuple[GoldenVector, ...]
