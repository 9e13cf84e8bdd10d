"""What is said to a server that is tuned: texts of so many tokens, made of the bundle's own golden utterances."""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer

from intently.v1 import bundle_pb2
from intently_build.bundles.golden import TOKENIZER
from intently_build.errors import BuildError

COUNT = 2000  # and then again from the first
_TRIES = 50  # at one utterance


def write_utterances(path: Path, bundle: Path, manifest: bundle_pb2.BundleManifest, tokens: tuple[int, int]) -> None:
    """Writes JSON Lines with a "text" of `tokens` tokens each, from the least to the most, every number as often.

    They make no sense: for speed, only the length counts. The same bundle has the same.

    Raises BuildError if the bundle has no golden utterances, or if no words come out at so many tokens.
    """
    tokenizer = _tokenizer(bundle)
    said = [word for golden in manifest.golden_vectors for word in golden.text.split()]
    words = [word for word in said if not any(token in word for token in _special(tokenizer))]
    if not words:
        raise BuildError(f"{bundle}: has no golden utterances to make others of; package it anew")
    maker = _Maker(tokenizer, words)
    span = range(tokens[0], tokens[1] + 1)
    texts = [maker.make(span[number % len(span)]) for number in range(COUNT)]
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")


class _Maker:
    """Makes texts of words."""

    def __init__(self, tokenizer: Tokenizer, words: list[str]) -> None:
        self._tokenizer = tokenizer
        self._words = words
        self._chosen = random.Random(0)

    def make(self, tokens: int) -> str:
        """Returns a text of exactly so many. Raises BuildError if none comes out."""
        for _ in range(_TRIES):
            ids = self._ids(" ".join(self._chosen.choices(self._words, k=tokens)))  # a word has a token at least
            start = self._chosen.randrange(max(1, len(ids) - tokens + 1))
            text = str(self._tokenizer.decode(ids[start : start + tokens])).strip()
            if "\N{REPLACEMENT CHARACTER}" not in text and len(self._ids(text)) == tokens:
                return text
        raise BuildError(f"--tokens: no words of the bundle's golden utterances make {tokens}")

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _special(tokenizer: Tokenizer) -> list[str]:
    return [token.content for token in tokenizer.get_added_tokens_decoder().values()]


def _tokenizer(bundle: Path) -> Tokenizer:
    try:
        made = Tokenizer.from_file(str(bundle / TOKENIZER))
    except Exception as error:  # the library raises no narrower one
        raise BuildError(f"{bundle / TOKENIZER}: is no tokenizer: {error}; try intently-build verify") from error
    made.encode_special_tokens = True
    return made
