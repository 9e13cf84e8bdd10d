"""The prompt of a synthetic bundle: a prefix of so many tokens, in the words of its tokenizer."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from intently_build.errors import BuildError
from intently_build.prompt import PromptLayout
from intently_build.synth.speech import words


def synthetic_layout(tokenizer: Path, prefix_tokens: int, seed: int) -> PromptLayout:
    """Returns a prompt whose prefix has exactly `prefix_tokens` tokens by that tokenizer.json.

    Raises BuildError if the file is no tokenizer, or if its tokens cannot be put together to that number.
    """
    try:
        vocabulary = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises no narrower one
        raise BuildError(f"{tokenizer}: cannot read it: {error}; a tokenizer.json of the tokenizers library") from error

    def count(text: str) -> int:
        return len(vocabulary.encode(text, add_special_tokens=False).ids)

    return PromptLayout(
        prefix=_text_of(prefix_tokens, count, tokenizer, seed),
        utterance_open="\nrequest:",
        suffix="\nintent:",
        user_open="\nuser:",
        user_close="",
        assistant_open="\nassistant:",
        assistant_close="",
    )


def _text_of(wanted: int, count: Callable[[str], int], tokenizer: Path, seed: int) -> str:
    """Returns a text of `wanted` tokens: as many words as fit, and shorter ones for what is left."""
    vocabulary = words()
    said = random.Random(seed).choices(vocabulary, k=wanted)
    low, high = 0, wanted  # words that surely fit, and that are surely enough: each is a token at least
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(" ".join(said[:middle])) <= wanted else (low, middle - 1)
    text = " ".join(said[:low])
    while (left := wanted - count(text)) > 0:
        longer = _longer(text, left, vocabulary, count)
        if longer is None:
            raise BuildError(f"{tokenizer}: makes no text of {wanted} tokens; give another --prefix-tokens")
        text = longer
    return text


def _longer(text: str, most: int, vocabulary: Sequence[str], count: Callable[[str], int]) -> str | None:
    """Returns the text with one more word, by as many tokens as may be, or None if every word is too long."""
    before = count(text)
    grown = {f"{text} {word}".strip(): count(f"{text} {word}".strip()) - before for word in (*vocabulary, ".", ",")}
    fitting = {longer: more for longer, more in grown.items() if 0 < more <= most}
    return max(fitting, key=lambda longer: fitting[longer]) if fitting else None
