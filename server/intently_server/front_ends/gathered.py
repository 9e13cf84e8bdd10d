"""What all front ends tell, as the first process shows it: asked, added up, and kept of those that have died."""

import asyncio
import os
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from intently_server.engine.engine_figures import Figures as EngineFigures
from intently_server.engine.engine_figures import sum_of_all
from intently_server.engine.vllm_metrics import shown
from intently_server.front_ends.gathered_vitals import GatheredVitals
from intently_server.front_ends.told import Teller, Told
from intently_server.model import Model
from intently_server.settings import Settings
from intently_server.telemetry import Telemetry
from intently_server.telemetry.summing import sum_into

_ANSWERS_WITHIN_S = 0.5


class Gathered:
    """Asks front ends, and keeps what those that have died had told.

    Args:
        settings: Of the whole server.
        model: What is served.

    Attributes:
        telemetry: Of the whole server; its figures are those of the last `refresh`.
    """

    def __init__(self, settings: Settings, model: Model) -> None:
        self._vitals = GatheredVitals(settings.front_ends, settings.max_in_flight)
        self.telemetry = Telemetry(settings, model, self._vitals, os.environ, watches=False)
        self._engine = _EngineMetrics(model.name)
        if self.telemetry.exposition is not None:
            self.telemetry.exposition.show(self._engine)
        self._front_ends: list[Teller] = []
        self._owed: dict[Teller, asyncio.Future[Told]] = {}
        self._asking = asyncio.Lock()

    def watch(self, front_end: Teller) -> None:
        """One more to ask. What it told is counted also after its end."""
        self._front_ends.append(front_end)

    async def refresh(self) -> None:
        """Asks all that live, and adds up; of one that does not answer in time, what it told before."""
        async with self._asking:
            asked = {each: each.ask() for each in self._front_ends if not each.ended.done()}
            # Of one that hangs nobody waits for the same answer twice: probes have a second or so.
            fresh = [answer for each, answer in asked.items() if self._owed.get(each) is not answer]
            if fresh:
                await asyncio.wait(fresh, timeout=_ANSWERS_WITHIN_S)
            self._owed = {each: answer for each, answer in asked.items() if not answer.done()}
            self._add_up({each for each, answer in asked.items() if answer.done() and not answer.cancelled()})

    async def close(self) -> None:
        """Adds up for the last time, and sends what is still to be sent."""
        await self.refresh()
        await self.telemetry.close()

    def _add_up(self, answering: "set[Teller]") -> None:
        living = [each for each in self._front_ends if not each.ended.done()]
        gone = [each for each in self._front_ends if each.ended.done() and each.told is not None]
        self._front_ends = [*living, *gone]  # of who never told a thing, and there may be any number, nothing is kept
        self._vitals.take(living, gone, answering)
        told = [each.told for each in living if each.told is not None]
        dead = [each.told for each in gone if each.told is not None]
        sum_into(self.telemetry.figures, [each.figures for each in (*told, *dead)])
        self.telemetry.figures.streams = sum(each.figures.streams for each in told)
        self._engine.figures = sum_of_all(
            [each.engine_figures for each in told], [each.engine_figures for each in dead]
        )


class _EngineMetrics(Collector):
    """What the engine has told all front ends, as each of them would show it."""

    def __init__(self, model: str) -> None:
        self.figures: EngineFigures = {}
        self._model = model

    def collect(self) -> Iterator[Metric]:
        figures = self.figures
        if figures:
            yield from shown(self._model, figures)
