"""How calibration rows become prompts: what the weights see while they are quantized is what they see when served."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from intently_build.errors import BuildError
from intently_build.prompt import PromptEncoder, PromptLayout

Layout = PromptLayout | None  # None: the text alone


def token_ids(checkpoint: Path, layout: Layout, texts: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Returns the ids of the prompt of each text. Raises BuildError if the checkpoint has no tokenizer.json."""
    path = checkpoint / "tokenizer.json"
    if not path.is_file():
        raise BuildError(f"{path}: no such file; a checkpoint carries its tokenizer")
    if layout is not None:
        encoder = PromptEncoder(path, layout)
        return tuple(tuple(encoder.encode(text)) for text in texts)
    encodings = Tokenizer.from_file(str(path)).encode_batch(list(texts), add_special_tokens=False)
    return tuple(tuple(encoding.ids) for encoding in encodings)
