"""The model's own byte-level BPE, trained on the training texts and laid out as transformers' Qwen2 tokenizer.

AutoTokenizer rebuilds the normalizer and pre-tokenizer of a Qwen2 model by itself, so the tokenizer is made by that
class; the tokenizers library then reads the same ids from tokenizer.json alone.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

from intently_build.errors import BuildError

PROMPT_TOKENS = ("<|im_start|>", "<|im_end|>", "<|utterance|>", "<|intent|>")


def code_token(row: int) -> str:
    """Returns the token that stands for a row of the head."""
    return f"<|code_{row:03d}|>"


def train_tokenizer(texts: Iterable[str], vocab_size: int, labels: int) -> Qwen2Tokenizer:
    """Returns a tokenizer of `vocab_size` BPE tokens (all 256 bytes among them), special tokens and `labels` codes.

    Raises BuildError if the texts yield fewer tokens than that.
    """
    backend = Qwen2Tokenizer().backend_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    bpe = json.loads(backend.to_str())["model"]
    vocab, merges = bpe["vocab"], [tuple(merge) for merge in bpe["merges"]]
    if len(vocab) < vocab_size:
        raise BuildError(f"tokenizer.vocab_size: {vocab_size} asked for, but the texts yield only {len(vocab)} tokens")
    specials = [*PROMPT_TOKENS, *(code_token(row) for row in range(labels))]
    return Qwen2Tokenizer(vocab=vocab, merges=merges, extra_special_tokens=specials)


def save_tokenizer(tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json."""
    tokenizer.save_pretrained(str(folder))
