"""Our server's peers as targets of `intently bench`, with the settings of vLLM that it has; and what is said to all."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

from intently_server.bundle import Bundle
from intently_server.engine.environment import prepare_environment
from intently_server.settings import Settings
from support.engine_settings import vllm_config
from support.said_tokens import as_prompts, made_texts
from support.vllm_serve import VllmServe, vllm_serve

SMALL = {"enforce_eager": "true", "kv_cache_gib": "1"}  # as `running_server` starts ours
_ALL_TOKENS = 400_000
_LEAST, _MOST = 2000, 25_000  # utterances


def bare_target(bundle: Path, settings: Mapping[str, str]) -> str:
    """The bare engine: `intently bench` starts it in its own process, in the root of the repository."""
    return f"python:tests.bench.bare_engine:BareEngine?{urlencode({'bundle': str(bundle), **settings})}"


@contextlib.contextmanager
def serve_target(bundle: Bundle, settings: Mapping[str, str], folder: Path, **more: object) -> Iterator[VllmServe]:
    """Runs `vllm serve` until the block ends; yields once it is healthy.

    Args:
        settings: Of our server, as text.
        folder: Where its log goes.
        more: Other arguments of vLLM's, such as api_server_count=4.
    """
    prepare_environment("WARNING")
    made = Settings(bundle=bundle.path, **settings)  # type: ignore[arg-type]  # pydantic reads the text
    with vllm_serve(bundle.path, folder, {**vllm_config(made, bundle).engine_args(), **more}) as peer:
        yield peer


class Said:
    """What is said to all targets: utterances of so many tokens, as files of lines.

    They are so many that vLLM's prefix cache has hardly one of them when it comes again: what is computed of each is
    all that follows the shared prefix.

    Args:
        bundle: Whose tokenizer counts, and whose prompts `vllm serve` gets.
        folder: Where the files lie.
        tokens: The least and the most of each utterance.
    """

    def __init__(self, bundle: Bundle, folder: Path, tokens: tuple[int, int]) -> None:
        self._bundle = bundle
        name = "-".join(map(str, tokens))
        self._prompts, self._file = folder / f"prompts-{name}.jsonl", folder / f"texts-{name}.jsonl"
        count = min(max(_ALL_TOKENS // sum(tokens) * 2, _LEAST), _MOST)
        self.texts = tuple(made_texts(bundle.path, tokens, count))
        self._file.write_text("".join(json.dumps({"text": text}) + "\n" for text in self.texts))

    def flags(self, target: str, *, ids: bool = False) -> list[str]:
        """Of `intently bench`, where it measures that target, alone or beside our server.

        All get the text: `vllm serve` in the bundle's prompt, as its callers would send it, and the bare engine makes
        token ids of it before anything is measured. With `ids`, `vllm serve` gets those, which spares it the
        tokenizing.
        """
        if ids and target.startswith("http:"):
            self._prompts.write_text("".join(as_prompts(self.texts, self._bundle)))
            return ["--utterances", str(self._prompts)]
        frame = ["--bundle", str(self._bundle.path)] if target.startswith("http:") else []
        return ["--utterances", str(self._file), *frame]
