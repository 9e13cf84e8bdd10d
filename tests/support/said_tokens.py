"""Utterances of a given number of tokens, with the ids of their whole prompts: the same work for any target."""

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer

from intently.bench.words import made_of_words
from intently_server.bundle import Bundle

_TRIES = 200


def made_texts(bundle: Path, tokens: tuple[int, int], count: int, seed: int = 0) -> Iterator[str]:
    """Utterances of common words, every number of tokens as often.

    Args:
        bundle: Folder of the bundle, whose tokenizer counts.
        tokens: The least and the most of an utterance.

    Raises:
        ValueError: if no words have so many tokens together.
    """
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    chosen = random.Random(seed)
    words = made_of_words(seed, 1, 1, count=5000)
    lengths = _lengths(tokenizer, words)
    for _ in range(count):
        wanted = chosen.randint(*tokens)
        tries = _tries(tokenizer, words, lengths, wanted, chosen)
        yield next(text for text in tries if text is not None)


def as_prompts(texts: Iterable[str], bundle: Bundle) -> Iterator[str]:
    """Lines of JSON with "text" and "token_ids", as `intently bench --utterances` reads them."""
    for text in texts:
        yield json.dumps({"text": text, "token_ids": bundle.encoder.encode(text).token_ids}) + "\n"


def _lengths(tokenizer: Tokenizer, words: tuple[str, ...]) -> dict[str, int]:
    """Tokens that each word adds to those before it, in nearly all tokenizers: encoding the whole each time is slow."""
    alone = _length(tokenizer, words[0])
    return {word: _length(tokenizer, f"{words[0]} {word}") - alone for word in set(words)}


def _tries(
    tokenizer: Tokenizer, words: tuple[str, ...], lengths: dict[str, int], wanted: int, chosen: random.Random
) -> Iterator[str | None]:
    """Attempts at so many tokens, None for those that missed. A word may be more than one token."""
    for _ in range(_TRIES):
        said = [chosen.choice(words)]
        length = _length(tokenizer, said[0])
        while length < wanted:
            said.append(chosen.choice(words))
            length += lengths[said[-1]]
        text = " ".join(said)
        yield text if length == wanted == _length(tokenizer, text) else None
    raise ValueError(f"no words are {wanted} tokens long together")


def _length(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)
