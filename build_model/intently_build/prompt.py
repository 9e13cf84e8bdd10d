"""How an utterance becomes token ids when a model is built: `Prompt` in bundle.proto, by the tokenizers library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tokenizers import Tokenizer


class Speaker(Enum):
    """Who said a turn."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True)
class Turn:
    """One turn before the utterance."""

    speaker: Speaker
    text: str


@dataclass(frozen=True)
class PromptLayout:
    """The fixed pieces of a prompt."""

    prefix: str
    utterance_open: str
    suffix: str
    user_open: str
    user_close: str
    assistant_open: str
    assistant_close: str


class PromptEncoder:
    """Lays out prompts with one tokenizer.

    Fixed pieces are tokenized once, special tokens recognised. What users said is tokenized with special tokens not
    recognised, and nothing is added by itself.
    """

    def __init__(self, tokenizer_file: Path, layout: PromptLayout) -> None:
        fixed = Tokenizer.from_file(str(tokenizer_file))
        self._plain = Tokenizer.from_file(str(tokenizer_file))
        self._plain.encode_special_tokens = True

        def ids(text: str) -> list[int]:
            return list(fixed.encode(text, add_special_tokens=False).ids)

        self.prefix_ids: list[int] = ids(layout.prefix)
        self._open = ids(layout.utterance_open)
        self._suffix = ids(layout.suffix)
        self._turns = {
            Speaker.USER: (ids(layout.user_open), ids(layout.user_close)),
            Speaker.ASSISTANT: (ids(layout.assistant_open), ids(layout.assistant_close)),
        }

    def text_ids(self, texts: Iterable[str]) -> list[list[int]]:
        """Returns the ids of each text as a user's words."""
        encodings = self._plain.encode_batch(list(texts), add_special_tokens=False)
        return [list(encoding.ids) for encoding in encodings]

    def tail(self, utterance: Sequence[int], context: Iterable[tuple[Speaker, Sequence[int]]] = ()) -> list[int]:
        """Returns what follows the prefix, for ids of texts: turns, utterance and suffix."""
        ids: list[int] = []
        for speaker, text in context:
            opening, closing = self._turns[speaker]
            ids += [*opening, *text, *closing]
        return [*ids, *self._open, *utterance, *self._suffix]

    def utterance_start(self, tail: Sequence[int], utterance: Sequence[int]) -> int:
        """Returns where the utterance begins in the tail that `tail()` made of it."""
        return len(tail) - len(self._suffix) - len(utterance)

    def encode(self, text: str, context: Iterable[Turn] = ()) -> list[int]:
        """Returns the ids of a whole prompt."""
        turns = list(context)
        utterance, *said = self.text_ids([text, *(turn.text for turn in turns)])
        speakers = [turn.speaker for turn in turns]
        return [*self.prefix_ids, *self.tail(utterance, zip(speakers, said, strict=True))]
