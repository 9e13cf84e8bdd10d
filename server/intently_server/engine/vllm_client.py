"""Hands prompts to vLLM's engine core, and passes on what it answers.

vLLM's AsyncLLM does so for all that vLLM can do: it renders and checks prompts, and keeps objects for text, sampling
and statistics of each request. A classifier has token ids and wants one row of logits; without the rest a request takes
half of the processor time in this process (docs/performance.md).

Uses only what vLLM 0.25.1 and 0.32.0 both have; tests/contract/test_vllm_interface.py names it.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from vllm import PoolingParams
from vllm.v1.engine import EngineCoreRequest, FinishReason
from vllm.v1.engine.exceptions import EngineDeadError

from intently_server.engine.engine_figures import Ended, EngineStep
from intently_server.errors import EngineDead

logger = logging.getLogger(__name__)


class _Asked:
    """A request that the engine core has."""

    __slots__ = ("answer", "arrived")

    def __init__(self) -> None:
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.arrived = time.monotonic()


class VllmClient:
    """Asks an engine core. To be made on the event loop.

    Args:
        core: vLLM's AsyncMPClient of the engine core.
        params: vLLM's, of all requests, as they were verified for the model.
        seat: Its number among all who ask the engine core.
        on_step: Is given what the engine tells after each step.
    """

    def __init__(self, core: Any, params: PoolingParams, seat: int, on_step: Callable[[EngineStep], None]) -> None:
        self._core = core
        self._params = params
        self._seat = seat
        self._on_step = on_step
        self._asked: dict[str, _Asked] = {}
        self._numbers = itertools.count()
        self._dead = False
        self._passing = asyncio.create_task(self._pass_on())

    @property
    def alive(self) -> bool:
        """Whether the engine core can still answer."""
        return not (self._dead or self._core.resources.engine_dead)

    async def ask(self, token_ids: Sequence[int]) -> Any:
        """vLLM's EngineCoreOutput of one prompt. Cancelling the call aborts the work inside the engine.

        Raises:
            EngineDead: if the engine has died, or dies meanwhile, or ends: a SIGTERM reaches it as well.
        """
        name = f"intently-{self._seat}-{next(self._numbers)}"
        asked = self._asked[name] = _Asked()
        try:
            if not self.alive:
                raise EngineDead("the engine has died")
            await self._core.add_request_async(self._request(name, token_ids))
            output = await asked.answer
        except asyncio.CancelledError:
            with contextlib.suppress(EngineDeadError):
                await self._core.abort_requests_async([name])
            raise
        except EngineDeadError as error:
            raise EngineDead("the engine has died") from error
        finally:
            del self._asked[name]
        if output.finish_reason == FinishReason.ABORT:  # not by us: what is cancelled here has no answer
            raise EngineDead("the engine ends")
        return output

    async def shutdown(self, timeout_s: float) -> None:
        """Ends the engine core if it was started here, by force once `timeout_s` is over. What it still has fails."""
        await asyncio.to_thread(self._core.shutdown, timeout=timeout_s)
        self._passing.cancel()
        await asyncio.wait([self._passing])

    def _request(self, name: str, token_ids: Sequence[int]) -> EngineCoreRequest:
        return EngineCoreRequest(
            request_id=name,
            prompt_token_ids=list(token_ids),
            mm_features=None,
            sampling_params=None,
            pooling_params=self._params,
            arrival_time=time.time(),
            lora_request=None,
            cache_salt=None,
            data_parallel_rank=None,
        )

    async def _pass_on(self) -> None:
        """Answers those who asked, as long as the engine does."""
        try:
            while True:
                self._answer(await self._core.get_output_async())
        except EngineDeadError:
            pass
        except Exception:
            logger.exception("what the engine says cannot be understood")
        finally:
            self._dead = True
            for asked in self._asked.values():
                if not asked.answer.done():
                    asked.answer.set_exception(EngineDead("the engine has died"))

    def _answer(self, told: Any) -> None:
        """One step of the engine: vLLM's EngineCoreOutputs."""
        ended = []
        for output in told.outputs:
            asked = self._asked.get(output.request_id)
            if asked is None or asked.answer.done() or not output.finished:
                continue  # it was withdrawn, or goes on
            asked.answer.set_result(output)
            ended.append(Ended(asked.arrived, output.events, output.prefill_stats, output.finish_reason))
        self._on_step(EngineStep(told.engine_index, time.monotonic(), told.timestamp, told.scheduler_stats, ended))
