"""Writes utterances of a given number of tokens, with the ids of their whole prompts: the same work for any target.

    python tests/bench/prompts.py --bundle PATH [--tokens 8-24] [--count 2000] > prompts.jsonl
    python tests/bench/prompts.py --bundle PATH --utterances FILE > prompts.jsonl

`intently bench --utterances prompts.jsonl` sends the text to an Intently server, and the ids to `vllm serve` or to the
bare engine.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from intently.bench.arguments import positive, span
from intently.bench.utterances import read
from intently.bench.words import made_of_words
from intently_server.bundle import load_bundle

_TRIES = 200


def main() -> int:
    """Writes them; returns the exit code."""
    options = _options()
    bundle = load_bundle(options.bundle)
    tokenizer = Tokenizer.from_file(str(options.bundle / "tokenizer.json"))
    texts = read(options.utterances) if options.utterances else tuple(_made(tokenizer, options))
    for text in texts:
        sys.stdout.write(json.dumps({"text": text, "token_ids": bundle.encoder.encode(text).token_ids}) + "\n")
    return 0


def _made(tokenizer: Tokenizer, options: argparse.Namespace) -> Iterator[str]:
    """Utterances of common words, every number of tokens as often."""
    chosen = random.Random(options.seed)
    words = made_of_words(options.seed, 1, 1, count=5000)
    for _ in range(options.count):
        wanted = chosen.randint(*options.tokens)
        yield next(text for text in _tries(tokenizer, words, wanted, chosen) if text is not None)


def _tries(tokenizer: Tokenizer, words: tuple[str, ...], wanted: int, chosen: random.Random) -> Iterator[str | None]:
    """Attempts at so many tokens, None for those that missed. A word may be more than one token.

    Raises:
        ValueError: if it never comes out.
    """
    for _ in range(_TRIES):
        said = [chosen.choice(words)]
        while _length(tokenizer, said) < wanted:
            said.append(chosen.choice(words))
        yield " ".join(said) if _length(tokenizer, said) == wanted else None
    raise ValueError(f"no words are {wanted} tokens long together")


def _length(tokenizer: Tokenizer, said: list[str]) -> int:
    return len(tokenizer.encode(" ".join(said), add_special_tokens=False).ids)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--utterances", type=Path, help="say these instead of making some")
    parser.add_argument(
        "--tokens", type=span, default=(8, 24), metavar="N|N-M", help="of each utterance (default: 8-24)"
    )
    parser.add_argument("--count", type=positive, default=2000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
