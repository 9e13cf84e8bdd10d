"""The bare engine as a target of `intently bench`: AsyncLLM in the generator's own process, with nothing around it.

    intently bench --address 127.0.0.1:50051 --concurrency 64 \\
        --against 'python:tests.bench.bare_engine:BareEngine?bundle=PATH&enforce_eager=true'

What follows `bundle` are settings of the server by their names: the engine's arguments are made of them just as the
server makes them, so that both run alike. Prompts are the `token_ids` of --utterances, or else made of the utterances
and the bundle beforehand: the engine gets ids, and tokenizes nothing. Run it from the root of the repository.
"""

import asyncio
import importlib
import itertools
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from intently.bench.plan import Plan, Shape, Share
from intently.bench.tally import OK, Answer
from intently.bench.targets.traffic import failed
from intently_server.bundle import load_bundle
from intently_server.engine.environment import prepare_environment
from intently_server.engine.process_guard import ProcessGuard, child_processes, end_processes
from intently_server.settings import Settings
from support.engine_settings import vllm_config

_END_WITHIN_S = 20.0


class BareEngine:
    """A `Traffic` that goes straight into vLLM.

    Args:
        bundle: Folder of the bundle.
        settings: Of the server, as text.
    """

    def __init__(self, plan: Plan, share: Share, bundle: str, **settings: str) -> None:
        self._bundle = load_bundle(Path(bundle))
        self._settings = Settings(bundle=Path(bundle), **settings)  # type: ignore[arg-type]  # pydantic reads the text
        self._whole = plan.batch_size if plan.shape is Shape.BATCH else 1
        prompts: list[Sequence[int]] = [*plan.token_ids] or [
            self._bundle.encoder.encode(text).token_ids for text in plan.utterances
        ]
        random.Random(plan.seed + share.index).shuffle(prompts)
        self._prompts = itertools.cycle(prompts)
        self._numbers = itertools.count()
        self._guard = ProcessGuard()
        self._others = set(child_processes())
        self._vllm: Any = None
        self._inputs: Any = None
        self._engine: Any = None

    async def open(self) -> None:
        """See `Traffic`: 20 s to several minutes."""
        prepare_environment(self._settings.engine_log_level)
        self._engine = await asyncio.to_thread(self._build)
        await self._encode(next(self._prompts))

    async def call(self, number: int) -> Answer:  # noqa: ARG002  # there are no connections
        """See `Traffic`."""
        try:
            await asyncio.gather(*(self._encode(next(self._prompts)) for _ in range(self._whole)))
        except Exception as error:
            return failed("INTERNAL", type(error).__name__, self._whole)
        return Answer(ok=True, items=(((OK, ""), self._whole),))

    def settle(self) -> tuple[int, int]:
        """See `Traffic`."""
        return 0, 0

    async def close(self) -> None:
        """See `Traffic`."""
        processes = child_processes(self._others)
        if self._engine is not None:
            await asyncio.to_thread(self._engine.shutdown, timeout=_END_WITHIN_S)
        await asyncio.to_thread(end_processes, processes)
        self._guard.close()

    def _build(self) -> Any:
        """Imports vLLM only now: it takes seconds, and reads the environment."""
        self._vllm, self._inputs = importlib.import_module("vllm"), importlib.import_module("vllm.inputs")
        config = vllm_config(self._settings, self._bundle)
        llm = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM
        with self._guard.marking():
            return llm.from_engine_args(self._vllm.AsyncEngineArgs(**config.engine_args()))

    async def _encode(self, token_ids: Sequence[int]) -> None:
        params = self._vllm.PoolingParams(task="classify", use_activation=False)
        final: Any = None
        prompt = self._inputs.tokens_input(list(token_ids))
        async for output in self._engine.encode(prompt, params, f"bare-{next(self._numbers)}"):
            final = output
        if len(final.outputs.data) != self._bundle.model.labels:
            raise ValueError(f"the head gave {len(final.outputs.data)} logits")
