"""The warm-up: an engine that gives other answers than the bundle was packaged with never serves."""

import numpy as np
import pytest

from intently_server.bundle import Bundle, BundleError
from intently_server.errors import EngineDead
from intently_server.warmup import golden_tolerance, warm_up
from support.memory_engine import Logits, MemoryEngine, logits_for


def engine_of(bundle: Bundle, error: float) -> MemoryEngine:
    """An engine whose first probability is off by `error`, and the second by as much the other way."""
    known: dict[tuple[int, ...], Logits] = {}
    for golden in bundle.model.golden_vectors:
        shifted = np.asarray(golden.probabilities)
        best, other = shifted.argsort()[::-1][:2]
        shifted[best] -= error
        shifted[other] += error
        known[golden.token_ids] = logits_for(shifted.tolist(), bundle.model.calibration.temperature)
    return MemoryEngine(bundle.model.labels, known)


async def test_an_engine_that_agrees_is_accepted_after_every_vector_ran_twice(bundle: Bundle) -> None:
    engine = engine_of(bundle, error=0.0)

    await warm_up(bundle.model, engine, tolerance=1e-5)

    golden = [vector.token_ids for vector in bundle.model.golden_vectors]
    assert sorted(engine.prompts) == sorted(golden * 2)


async def test_an_engine_within_the_tolerance_is_accepted(bundle: Bundle) -> None:
    await warm_up(bundle.model, engine_of(bundle, error=0.01), tolerance=0.02)


async def test_an_engine_that_differs_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="golden vector 0 has probabilities that differ"):
        await warm_up(bundle.model, engine_of(bundle, error=0.03), tolerance=0.02)


@pytest.mark.parametrize(
    ("dtype", "method", "tolerance"),
    [
        ("float32", "none", 1e-3),
        ("auto", "none", 2e-2),
        ("bfloat16", "gptq", 2e-2),
        ("auto", "awq", 2e-2),
        ("auto", "int8", 1e-1),
        ("bfloat16", "fp8", 1e-1),
        ("float32", "int8", 1e-1),
    ],
)
def test_what_is_let_pass_is_what_the_arithmetic_may_differ_by(dtype: str, method: str, tolerance: float) -> None:
    assert golden_tolerance(dtype, method) == tolerance


async def test_an_engine_that_gives_no_numbers_is_refused(bundle: Bundle) -> None:
    engine = MemoryEngine(bundle.model.labels, {})
    engine.answer = lambda _: np.full(bundle.model.labels, np.nan, dtype=np.float32)

    with pytest.raises(BundleError):
        await warm_up(bundle.model, engine, tolerance=0.02)


async def test_an_engine_that_dies_is_reported(bundle: Bundle) -> None:
    engine = engine_of(bundle, error=0.0)
    engine.die()

    with pytest.raises(EngineDead):
        await warm_up(bundle.model, engine, tolerance=0.02)
