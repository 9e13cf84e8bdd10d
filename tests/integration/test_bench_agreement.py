"""How far apart the answers of two servers are, as the benchmarks note it of two settings."""

import asyncio
from collections.abc import Sequence

import numpy as np

from intently_server.bundle import Bundle
from support.benchmarks.agreement import compared
from support.in_memory import StartInMemory
from support.memory_engine import Logits, scattered_logits

TEXTS = [f"wake me at {hour}" for hour in range(12)]


async def test_the_same_answers_are_no_distance_apart(start_in_memory: StartInMemory, bundle: Bundle) -> None:
    one, two = await start_in_memory(), await start_in_memory()

    found = await asyncio.to_thread(compared, one.served.address, two.served.address, TEXTS, bundle.model.labels)

    assert (found.difference, found.noise) == (0.0, 0.0)
    assert found.most > 0


async def test_one_text_that_is_answered_otherwise_is_told(start_in_memory: StartInMemory, bundle: Bundle) -> None:
    one, two = await start_in_memory(), await start_in_memory()
    labels, odd = bundle.model.labels, tuple(bundle.encoder.encode(TEXTS[7]).token_ids)

    def answer(ids: Sequence[int]) -> Logits:
        logits = scattered_logits(ids, labels)
        return np.roll(logits, 1) if tuple(ids) == odd else logits

    two.engine.answer = answer
    found = await asyncio.to_thread(compared, one.served.address, two.served.address, TEXTS, labels)

    assert found.difference > 0.1 * found.most
    assert found.noise == 0
