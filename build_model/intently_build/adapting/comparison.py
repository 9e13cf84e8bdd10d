"""Whether a merged model answers as base and adapter do: logits and argmax, in float32, as both are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from intently_build.errors import BuildError

# Of the logits' standard deviation. Rounding the merged weights to bfloat16 moved logits by 0.063 of 0.96 at most.
LARGEST_SHIFT = 0.25

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How far two models agree on the same prompts.

    Attributes:
      prompts: how many.
      worst: the largest difference of a logit.
      spread: the standard deviation of the logits.
      argmax_equal: on how many prompts the likeliest is the same.
    """

    prompts: int
    worst: float
    spread: float
    argmax_equal: int

    def to_json(self) -> dict[str, Any]:
        """Returns it as a proof states it."""
        return {
            "prompts": self.prompts,
            "largest_logit_difference": round(self.worst, 6),
            "logit_standard_deviation": round(self.spread, 6),
            "argmax_equal": self.argmax_equal,
        }


def proving_device() -> torch.device:
    """Returns where to compute what is compared: on a GPU if there is one, since in float32 a large model is slow."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def last_logits(model: torch.nn.Module, prompts: Sequence[Sequence[int]]) -> Floats:
    """Returns (prompts, logits): the logits after the last token of each prompt, by a plain forward pass."""
    device = next(model.parameters()).device
    rows = []
    with torch.inference_mode():
        for prompt in prompts:
            logits = model(input_ids=torch.tensor([list(prompt)], device=device)).logits
            row = logits[0, -1] if logits.dim() == 3 else logits[0]
            rows.append(row.double().cpu().numpy())
    return np.stack(rows)


def compare(wanted: Floats, got: Floats) -> Agreement:
    """Returns how far `got` agrees with `wanted`, both (prompts, logits).

    Raises BuildError if a logit is not finite, if one differs by more than LARGEST_SHIFT standard deviations, or if
    the argmax differs where the likeliest two lie further apart than that.
    """
    if not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        raise BuildError("merge: some logits are not finite; the base or the adapter is damaged")
    spread = float(wanted.std())
    worst = float(np.abs(wanted - got).max())
    first, second = np.sort(wanted, axis=1)[:, :-3:-1].T
    equal = wanted.argmax(axis=1) == got.argmax(axis=1)
    clear = first - second > LARGEST_SHIFT * spread
    agreement = Agreement(len(wanted), worst, spread, int(equal.sum()))
    if not worst <= LARGEST_SHIFT * spread or (clear & ~equal).any():
        raise BuildError(
            f"merge: the merged model does not answer as base and adapter do: logits differ by up to {worst:.3g} "
            f"(standard deviation {spread:.3g}), the likeliest is the same on {equal.sum()} of {len(wanted)} prompts"
        )
    return agreement
