"""Counters and gauges as OpenTelemetry's instruments, which read the figures when somebody collects them."""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from intently_server.lifecycle import Phase
from intently_server.model import Model
from intently_server.telemetry.figures import Figures, call_attributes
from intently_server.telemetry.vitals import FrontEndVitals, Vitals

Read = Callable[[], Iterable[Observation]]


class Instruments:
    """Makes the instruments.

    Args:
        meter: Makes each of them.
        figures: What was counted.
        vitals: What there is to do.
        model: What is served.
        version: Of the server.
    """

    def __init__(self, meter: Meter, figures: Figures, vitals: Vitals, model: Model, version: str) -> None:
        self._meter = meter
        self._figures = figures
        self._vitals = vitals
        self._model = model
        self._version = version
        self._revision: Mapping[str, str] = {"intently.revision": model.revision}
        self._counters()
        self._load_gauges()
        self._state_gauges()
        self._front_ends()

    def _counters(self) -> None:
        figures = self._figures
        self._count("intently.server.calls", "{call}", "Calls that ended.", self._calls)
        self._count("intently.server.utterances", "{utterance}", "Utterances answered or failed.", self._utterances)
        self._count("intently.server.predictions", "{prediction}", "Best intents of answers.", self._predictions)
        self._count(
            "intently.server.input_tokens",
            "{token}",
            "Tokens of the prompts of answered utterances.",
            lambda: [Observation(figures.input_tokens, self._revision)],
        )
        self._count(
            "intently.server.cached_tokens",
            "{token}",
            "Those of them that the prefix cache had.",
            lambda: [Observation(figures.cached_tokens, self._revision)],
        )

    def _load_gauges(self) -> None:
        vitals, figures = self._vitals, self._figures
        self._gauge("intently.server.active_calls", "{call}", "Calls and streams under way.", lambda: vitals.calls)
        self._gauge("intently.server.active_streams", "{stream}", "Streams that are open.", lambda: figures.streams)
        self._gauge(
            "intently.server.active_requests",
            "{request}",
            "Requests in flight, waiting ones included.",
            lambda: vitals.requests().in_flight,
        )
        self._gauge(
            "intently.server.queued_requests",
            "{request}",
            "Requests that wait for their turn.",
            lambda: vitals.requests().queued,
        )
        self._gauge(
            "intently.server.queued_tokens",
            "{token}",
            "Tokens of the prompts that wait.",
            lambda: vitals.requests().queued_tokens,
        )
        self._gauge(
            "intently.server.capacity",
            "{request}/s",
            "Rate of the engine when it was last full; 0 until then.",
            lambda: vitals.requests().requests_per_s or 0.0,
        )
        self._gauge(
            "intently.engine.running_requests",
            "{request}",
            "Requests that the engine computes.",
            lambda: vitals.engine().running,
        )
        self._gauge(
            "intently.engine.waiting_requests",
            "{request}",
            "Requests that the engine holds back.",
            lambda: vitals.engine().waiting,
        )

    def _state_gauges(self) -> None:
        info = {
            "gen_ai.response.model": self._model.name,
            "intently.label_set_version": self._model.label_set_version,
            "service.version": self._version,
            **self._revision,
        }
        self._meter.create_observable_gauge(
            "intently.server.phase",
            [_callback(self._phases)],
            description="1 for the phase of its life that the server is in, 0 for the others.",
        )
        self._meter.create_observable_gauge(
            "intently.server.info", [_callback(lambda: [Observation(1, info)])], description="What is served; always 1."
        )

    def _front_ends(self) -> None:
        """Nothing is seen of these where there is one process alone."""

        def each(read: Callable[[FrontEndVitals], float | None]) -> Read:
            return lambda: [
                Observation(value, {"intently.front_end": str(one.place)})
                for one in self._vitals.front_ends()
                if (value := read(one)) is not None
            ]

        self._meter.create_observable_up_down_counter(
            "intently.server.front_end.up",
            [_callback(each(lambda one: int(one.is_up)))],
            description="1 for a front end that has served and answers, 0 for one that starts, hangs or is gone.",
        )
        self._meter.create_observable_up_down_counter(
            "intently.server.front_end.memory",
            [_callback(each(lambda one: one.memory))],
            "By",
            "Resident memory of a front end.",
        )
        self._count(
            "intently.server.front_end.cpu_time",
            "s",
            "CPU that a front end has used, and those before it in its place.",
            each(lambda one: one.cpu_s),
        )

    def _calls(self) -> list[Observation]:
        return [
            Observation(count, _with_reason({**call_attributes(method, status), **self._revision}, reason))
            for (method, status, reason), count in list(self._figures.calls.items())
        ]

    def _utterances(self) -> list[Observation]:
        return [
            Observation(
                count, _with_reason({"rpc.method": method, "intently.outcome": outcome, **self._revision}, reason)
            )
            for (method, outcome, reason), count in list(self._figures.utterances.items())
        ]

    def _predictions(self) -> list[Observation]:
        return [
            Observation(count, {"intently.intent": intent, "intently.outcome": outcome, **self._revision})
            for (intent, outcome), count in list(self._figures.predictions.items())
        ]

    def _phases(self) -> list[Observation]:
        now = self._vitals.phase
        return [Observation(int(phase is now), {"intently.phase": phase.value}) for phase in Phase]

    def _count(self, name: str, unit: str, description: str, read: Read) -> None:
        self._meter.create_observable_counter(name, [_callback(read)], unit, description)

    def _gauge(self, name: str, unit: str, description: str, read: Callable[[], float]) -> None:
        """What sums over several front ends is an up-down counter in OpenTelemetry, and a gauge in Prometheus."""
        self._meter.create_observable_up_down_counter(
            name, [_callback(lambda: [Observation(read())])], unit, description
        )


def _callback(read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: read()


def _with_reason(attributes: dict[str, str], reason: str) -> dict[str, str]:
    return {**attributes, "intently.reason": reason} if reason else attributes
