"""What a student learns from: utterances with their teachers' probabilities, and the loss that compares its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from intently_build.examples import NO_TARGET, Collator, Example, ExampleSet
from intently_build.objective import Objective, Readout
from intently_build.recipe import Distill, Training

SMALLEST = 1e-6  # a probability below it counts as that much


@dataclass(frozen=True)
class TaughtExample:
    """An example, with what the teachers say of it: probabilities (labels), and last hidden state or nothing."""

    example: Example
    probabilities: NDArray[np.float16]
    states: NDArray[np.float16] | None


class TaughtSet:
    """A data set for transformers' Trainer: `examples`, and for each a row of the teachers' answers."""

    def __init__(
        self, examples: ExampleSet, probabilities: NDArray[np.float16], states: NDArray[np.float16] | None
    ) -> None:
        self._examples = examples
        self._probabilities = probabilities
        self._states = states

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> TaughtExample:
        states = None if self._states is None else self._states[index]
        return TaughtExample(self._examples[index], self._probabilities[index], states)


class TaughtCollator:
    """Puts taught examples together, and those of the validation rows, which nobody taught."""

    def __init__(self, pad_token_id: int) -> None:
        self._plain = Collator(pad_token_id)

    def __call__(self, examples: Sequence[TaughtExample | Example]) -> dict[str, torch.Tensor]:
        """Returns what `Collator` does, and `taught` (batch, labels) and `states` (batch, hidden size) where known."""
        batch = self._plain([each.example if isinstance(each, TaughtExample) else each for each in examples])
        taught = [each for each in examples if isinstance(each, TaughtExample)]
        if taught:
            batch["taught"] = torch.from_numpy(np.stack([each.probabilities for each in taught])).float()
            states = [each.states for each in taught if each.states is not None]
            if states:
                batch["states"] = torch.from_numpy(np.stack(states)).float()
        return batch


class TaughtObjective(Objective):
    """The loss of a student: divergence from its teachers, cross-entropy where the intent is known, and the rest."""

    def __init__(self, prefix_ids: list[int], readout: Readout, training: Training, distill: Distill) -> None:
        super().__init__(prefix_ids, readout, training)
        self._distill = distill

    def label_loss(
        self, logits: torch.Tensor, states: torch.Tensor, batch: Mapping[str, torch.Tensor], smoothing: float
    ) -> torch.Tensor:
        """See `Objective`; rows whose label is NO_TARGET count for what the teachers say alone."""
        if "taught" not in batch:
            return super().label_loss(logits, states, batch, smoothing)
        settings, labels = self._distill, batch["labels"]
        loss = settings.soft * divergence(logits, batch["taught"], settings.temperature)
        known = (labels != NO_TARGET).sum().clamp(min=1)
        hard = functional.cross_entropy(
            logits, labels, label_smoothing=smoothing, reduction="sum", ignore_index=NO_TARGET
        )
        loss = loss + settings.hard * hard / known
        if "states" in batch:
            loss = loss + settings.states * unlikeness(states, batch["states"])
        return loss


def divergence(logits: torch.Tensor, taught: torch.Tensor, temperature: float) -> torch.Tensor:
    """Returns the mean Kullback-Leibler divergence of the student's probabilities from the teachers'.

    Both are softened by the temperature; the result is scaled by its square, so that its gradients keep their size
    (Hinton et al. 2015).

    Args:
      logits: (batch, labels) of the student.
      taught: (batch, labels) probabilities.
      temperature: greater than 0.
    """
    wanted = functional.log_softmax(taught.clamp(min=SMALLEST).log() / temperature, dim=-1)
    got = functional.log_softmax(logits / temperature, dim=-1)
    return functional.kl_div(got, wanted, log_target=True, reduction="batchmean") * temperature**2


def unlikeness(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Returns how much the two disagree on which utterances of the batch are alike, by cosines (Tung & Mori 2019).

    Their hidden sizes may differ. 0 if they agree on every pair.
    """

    def alike(states: torch.Tensor) -> torch.Tensor:
        unit = functional.normalize(states.float(), dim=-1)
        return unit @ unit.T

    return functional.mse_loss(alike(student), alike(teacher))
