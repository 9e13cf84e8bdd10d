"""One real engine for the whole session, in a server inside the test's event loop: it takes half a minute to start."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support.kept_engine import KeptEngineFactory, Real
from support.serving import serving

STEP_TOKENS = 512  # of one engine step: less than the longest prompt, which is so prefilled in chunks


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real(bundle_path: Path) -> AsyncIterator[Real]:
    """A server with the real engine, in bfloat16 as the bundle is."""
    factory = KeptEngineFactory()
    patient = {"max_wait": 600.0}  # tests give the engine work for seconds at once
    settings = {"kv_cache_gib": 1.0, "enforce_eager": True, "max_batched_tokens": STEP_TOKENS, **patient}
    async with serving(bundle_path, factory, **settings) as served:
        yield Real(served, factory.engine, STEP_TOKENS)
