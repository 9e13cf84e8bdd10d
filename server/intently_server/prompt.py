"""From an utterance and its context to token ids, with the prompt's fixed pieces tokenized once."""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from intently_server.errors import InvalidInput
from intently_server.model import Limits, PromptLayout
from intently_server.types import Query, Role, Turn

# Characters that become one, at most, by what the tokenizer does to text first. None of Unicode is made of more than 4
# others, as U+1F82 does.
_CHARS_TO_ONE = {"NoneType": 1, "NFD": 1, "NFKD": 1, "NFC": 4, "NFKC": 4}
_SAYING = "Of all  that\tis said,\r\n 12 things are\n\nkept?! "


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """The ids of a whole prompt, and whether anything was cut to make it fit."""

    token_ids: list[int]
    truncated: bool


class PromptEncoder:
    """Lays prompts out as `Prompt` in bundle.proto says.

    Safe to use from several threads at once.

    Args:
        tokenizer: The bundle's. From now on it takes special tokens in text for plain text: what users say can
            never forge the prompt's structure.
        layout: The fixed pieces, in which special tokens are recognised.
        limits: `max_input_tokens` bounds the whole prompt.

    Raises:
        ValueError: if the fixed pieces leave no room for an utterance.
    """

    def __init__(self, tokenizer: Tokenizer, layout: PromptLayout, limits: Limits) -> None:
        tokenizer.encode_special_tokens = False
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._prefix = self._encode(layout.prefix)
        self._utterance_open = self._encode(layout.utterance_open)
        self._suffix = self._encode(layout.suffix)
        self._turn_pieces = {
            Role.USER: (self._encode(layout.user_open), self._encode(layout.user_close)),
            Role.ASSISTANT: (self._encode(layout.assistant_open), self._encode(layout.assistant_close)),
        }
        tokenizer.encode_special_tokens = True
        self._length = _TokenLength.of(tokenizer)
        self._max_tokens = limits.max_input_tokens
        self._room = self._max_tokens - len(self._prefix) - len(self._utterance_open) - len(self._suffix)
        if self._room < 1:
            raise ValueError(f"the prompt's fixed pieces leave no room for an utterance in {self._max_tokens} tokens")

    @property
    def prefix_tokens(self) -> int:
        """Tokens that all prompts begin with."""
        return len(self._prefix)

    def encode(self, text: str, context: Sequence[Turn] = ()) -> EncodedPrompt:
        """The ids of a prompt that must fit. See `encode_query`."""
        return self.encode_query(Query(text=text, context=tuple(context)))

    def encode_query(self, query: Query) -> EncodedPrompt:
        """Returns the ids of the whole prompt.

        With `trim_context` the oldest turns are left out until it fits; with `allow_truncation` so is, if that is not
        enough, the end of the utterance.

        Raises:
            InvalidInput: if it does not fit and may not be cut; names the field.
        """
        self._check_size(query)
        context = self._possible(query)
        utterance, *turns = self._encode_all([query.text, *(turn.text for turn in context)])
        turns = [self._framed(turn, ids) for turn, ids in zip(context, turns, strict=True)]
        too_long = len(context) < len(query.context) or len(utterance) + sum(map(len, turns)) > self._room
        may_cut = query.allow_truncation or (query.trim_context and len(utterance) <= self._room)
        if too_long:
            if not may_cut:
                raise self._too_long("text" if len(utterance) > self._room else "context")
            utterance, turns = self._cut(utterance, turns)
        ids = [*self._prefix, *itertools.chain.from_iterable(turns), *self._utterance_open, *utterance, *self._suffix]
        return EncodedPrompt(ids, too_long)

    def work(self, query: Query) -> int:
        """Characters that `encode_query` will tokenize: without those of turns that cannot be in the prompt.

        Raises:
            InvalidInput: if it surely does not fit and may not be cut; names the field.
        """
        self._check_size(query)
        return len(query.text) + sum(len(turn.text) for turn in self._possible(query))

    def latest_possible(self, texts: Sequence[str]) -> int:
        """How many of the latest of these texts one prompt can hold at most, even without an utterance."""
        return self._latest_within(self._room, texts)

    def _latest_within(self, room: int, texts: Sequence[str]) -> int:
        for index in range(len(texts) - 1, -1, -1):
            room -= self._length.fewest(texts[index])
            if room < 0:
                return len(texts) - 1 - index
        return len(texts)

    def _encode(self, text: str) -> list[int]:
        return self._encode_all([text])[0]

    def _encode_all(self, texts: list[str]) -> list[list[int]]:
        # Of the tokenizer's methods this one lets other threads run meanwhile.
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def _framed(self, turn: Turn, ids: list[int]) -> list[int]:
        if turn.role is None:
            raise InvalidInput.of("context", "every turn needs a role")
        opened, closed = self._turn_pieces[turn.role]
        return [*opened, *ids, *closed]

    def _check_size(self, query: Query) -> None:
        """Refuses, before it costs anything, what cannot fit even if every token were as long as the longest."""
        if query.allow_truncation:
            return
        least = self._length.fewest(query.text)
        if least > self._room:
            raise self._too_long("text")
        if (
            not query.trim_context
            and least + sum(self._length.fewest(turn.text) for turn in query.context) > self._room
        ):
            raise self._too_long("context")

    def _possible(self, query: Query) -> Sequence[Turn]:
        """The turns without the oldest that would surely be left out: tokenizing them would be work for nothing."""
        context = query.context
        if not (query.allow_truncation or query.trim_context):
            return context
        room = self._room - self._length.fewest(query.text)
        return context[len(context) - self._latest_within(room, [turn.text for turn in context]) :]

    def _cut(self, utterance: list[int], turns: list[list[int]]) -> tuple[list[int], list[list[int]]]:
        room = self._room - len(utterance)
        kept: list[list[int]] = []
        for turn in reversed(turns):
            room -= len(turn)
            if room < 0:
                break
            kept.insert(0, turn)
        return utterance[: self._room], kept

    def _too_long(self, field: str) -> InvalidInput:
        return InvalidInput.of(
            field, f"makes the prompt longer than {self._max_tokens} tokens; shorten it, or set allow_truncation"
        )


@dataclass(frozen=True, slots=True)
class _TokenLength:
    """How long a token can be: `chars` of ASCII, and `chars_to_one` times as many of other text."""

    chars: int
    chars_to_one: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "_TokenLength":
        """That of a byte-level BPE, which has a sign for each byte; of others nothing is known."""
        vocabulary = tokenizer.get_vocab()
        chars_to_one = _CHARS_TO_ONE.get(type(tokenizer.normalizer).__name__)
        if (
            chars_to_one is None
            or not isinstance(tokenizer.model, models.BPE)
            or not isinstance(tokenizer.decoder, decoders.ByteLevel)
            or not vocabulary.keys() >= set(pre_tokenizers.ByteLevel.alphabet())
            or any(each.lstrip or each.rstrip for each in tokenizer.get_added_tokens_decoder().values())
            or tokenizer.decode(tokenizer.encode(_SAYING, add_special_tokens=False).ids) != _SAYING
        ):
            return cls(sys.maxsize, 1)
        return cls(max(map(len, vocabulary)), chars_to_one)

    def fewest(self, text: str) -> int:
        """Tokens that a text becomes at least."""
        return len(text) // (self.chars if text.isascii() else self.chars * self.chars_to_one)
