"""The last check before serving: the bundle's golden vectors, run as real requests."""

import asyncio

import numpy as np

from intently_server.bundle import MANIFEST, BundleError
from intently_server.calibration import probabilities
from intently_server.engine.base import Engine
from intently_server.model import GoldenVector, Model

# Golden probabilities were computed in float32; these cover what the engine's own arithmetic may differ by. Where an
# engine rounds activations to 8 bits too, the least difference before can be a whole step after: 0.02 to 0.05 for int8
# and fp8 on the bundle mini-clinc150, whose 4-bit weights move a probability by less than 0.02.
TOLERANCE_FLOAT32 = 1e-3
TOLERANCE_REDUCED = 2e-2
TOLERANCE_ROUNDED_ACTIVATIONS = 1e-1

_ROUND_ACTIVATIONS = {"bitsandbytes", "fp8", "int8"}


def golden_tolerance(dtype: str, method: str) -> float:
    """Returns the greatest difference of a probability that is let pass.

    Args:
        dtype: What the engine computes in.
        method: How the weights are quantized, as the bundle's manifest says.
    """
    if method in _ROUND_ACTIVATIONS:
        return TOLERANCE_ROUNDED_ACTIVATIONS
    return TOLERANCE_FLOAT32 if dtype == "float32" else TOLERANCE_REDUCED


async def warm_up(model: Model, engine: Engine, tolerance: float) -> None:
    """Runs every golden vector, alone and then all at once, which also fills the prefix cache.

    Args:
        model: Whose vectors to run.
        engine: Must give their probabilities.
        tolerance: Greatest difference of a probability that is let pass.

    Raises:
        BundleError: names the vector that does not come out right.
        EngineDead: if the engine dies on it.
    """
    for index, golden in enumerate(model.golden_vectors):
        await _check(index, golden, model, engine, tolerance)
    await asyncio.gather(
        *(_check(i, golden, model, engine, tolerance) for i, golden in enumerate(model.golden_vectors))
    )


async def _check(index: int, golden: GoldenVector, model: Model, engine: Engine, tolerance: float) -> None:
    output = await engine.classify(golden.token_ids)
    got = probabilities(output.logits, model.calibration.temperature)
    difference = float(np.abs(got - np.asarray(golden.probabilities)).max())
    if not difference <= tolerance:
        raise BundleError(
            MANIFEST,
            f"golden vector {index} has probabilities that differ by {difference:.2g} from those it was packaged "
            f"with, over {tolerance:g}: this engine computes something else",
        )
