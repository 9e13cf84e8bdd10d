"""Teachers: bundles whose labels are the student's, asked by transformers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from intently.v1 import bundle_pb2
from intently_build.bundles.manifest import MANIFEST, manifest_layout, read_manifest
from intently_build.calibration import Floats, probabilities
from intently_build.distilling.batches import in_batches
from intently_build.errors import BuildError
from intently_build.objective import last_states, tail_states
from intently_build.prompt import PromptEncoder
from intently_build.recipe import recipe_name
from intently_build.reference import load_classifier

BATCH = 512  # utterances at once, where there is room for so many
LARGE = 1_000_000_000  # bytes of weights


@dataclass(frozen=True)
class Answers:
    """What a teacher says of some texts.

    Attributes:
      probabilities: (texts, labels), calibrated.
      states: (texts, hidden size): the decoder's last hidden state where the label is read; None if not asked for.
    """

    probabilities: Floats
    states: Floats | None


class Teacher:
    """A bundle that is asked.

    Args:
      bundle: its folder.
      labels: what the rows of its head must be called.
      device: where to compute, as PyTorch names it.
      dtype: what the decoder computes in; the head is computed in float32.

    Raises BuildError if it is no bundle, or has other labels.
    """

    def __init__(self, bundle: Path, labels: Sequence[str], device: str, dtype: torch.dtype = torch.float32) -> None:
        manifest = read_manifest(bundle)
        check_labels(bundle, manifest, labels)
        self._device = device
        self._encoder = PromptEncoder(bundle / "tokenizer.json", manifest_layout(manifest.prompt))
        self._model = load_classifier(bundle, device)
        for weight in self._model.model.parameters():  # and no buffers: positions are counted in float32
            weight.data = weight.data.to(dtype)
        self._temperature = manifest.calibration.temperature

    def answers(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None],
        with_states: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> Answers:
        """Returns what it says of `texts`.

        Args:
          texts: utterances.
          advance: is told how many more are done.
          with_states: whether the hidden states are wanted too.
          say: is told if the GPU's memory has no room for as many at once as usual.
        """
        tails = [self._encoder.tail(ids) for ids in self._encoder.text_ids(texts)]
        order = sorted(range(len(tails)), key=lambda index: len(tails[index]))
        logits = np.zeros((len(tails), self._model.config.num_labels))
        states = np.zeros((len(tails) if with_states else 0, self._model.config.hidden_size), dtype=np.float32)

        def ask(chosen: Sequence[int]) -> None:
            logits[chosen], last = self._batch([tails[index] for index in chosen])
            if with_states:
                states[chosen] = last
            advance(len(chosen))

        in_batches(order, BATCH, ask, say)
        return Answers(probabilities(logits, self._temperature), states if with_states else None)

    def _batch(self, tails: list[list[int]]) -> tuple[Floats, Floats]:
        width = max(map(len, tails))
        prefix = torch.tensor(self._encoder.prefix_ids, device=self._device)
        batch = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails], device=self._device)
        last = torch.tensor([len(tail) - 1 for tail in tails], device=self._device)
        with torch.inference_mode():
            states = last_states(tail_states(self._model.model, prefix, batch), last).float()
            logits = self._model.score(states)
        return logits.double().cpu().numpy(), states.cpu().numpy()


def teaching_dtype(bundle: Path, device: str) -> torch.dtype:
    """Returns what a teacher computes in: float32, but for a large one on a GPU, where that takes ten times as long."""
    size = sum(path.stat().st_size for path in bundle.glob("*.safetensors"))
    return torch.bfloat16 if device == "cuda" and size >= LARGE else torch.float32


def find_teacher(recipe: Path, teacher: str, runs: Path) -> Path:
    """Returns the folder of the bundle that a recipe calls its teacher.

    Args:
      recipe: the recipe's file, which `teacher` is relative to.
      teacher: a bundle, or another recipe, whose run made one.
      runs: the folder that holds the runs.

    Raises BuildError if there is none.
    """
    path = recipe.parent / teacher
    if path.suffix in (".yaml", ".yml"):
        bundle = runs / recipe_name(path) / "bundle"
        if not (bundle / MANIFEST).is_file():
            raise BuildError(f"{recipe}: its teacher {teacher} is not built; run `intently-build run {path}` first")
        return bundle
    if not (path / MANIFEST).is_file():
        raise BuildError(f"{path}: no bundle there (no {MANIFEST}); {recipe} names it as a teacher")
    return path


def check_labels(bundle: Path, manifest: bundle_pb2.BundleManifest, labels: Sequence[str]) -> None:
    """Raises BuildError unless the rows of the bundle's head are called `labels`, in that order."""
    found = [intent.name for intent in manifest.label_set.intents]
    if manifest.label_set.HasField("out_of_scope"):
        found.append(manifest.label_set.out_of_scope.name)
    if found == list(labels):
        return
    odd = next((name for name in labels if name not in found), None) or next(
        (name for name in found if name not in labels), None
    )
    what = f"one side has no {odd!r}" if odd else "the order differs"
    raise BuildError(f"{bundle}: has {len(found)} labels, the student {len(labels)}; {what}. A teacher needs the same")
